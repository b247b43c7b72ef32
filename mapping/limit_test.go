// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/crau-otel/crau-otel/mapping/policy"
	"github.com/crau-otel/crau-otel/tracer/event"
)

// The limit is in characters. It applies to all string attributes of a span except the context's id, which must stay
// unique.
func TestAttributeValueLengthLimit(t *testing.T) {
	t.Setenv("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "5")
	f := newFeed(t, Config{})
	for range 3 { // the third one uses the cached meaning
		f.Open(1, none, name("app::thing"), s("app::ascii", "abcdefgh"), s("app::letters", "äöüäöüäöü"), s("app::short", "abc"))
		f.m.Flush()
	}
	for _, tree := range f.trees {
		got := attributeMap(tree.Spans[0].Attributes())
		if got["app.ascii"] != "abcde" || got["app.letters"] != "äöüäö" || got["app.short"] != "abc" {
			t.Errorf("attributes are %v", got)
		}
		for key, value := range got {
			if n := utf8.RuneCountInString(value); n > 5 && key != "crypto.context.id" {
				t.Errorf("%s has %d characters: %s", key, n, value)
			}
		}
	}
	f.finish()
}

// A limit of 0 makes every string attribute empty. A negative limit means that there is no limit.
func TestAttributeValueLengthLimitsAtTheEdge(t *testing.T) {
	for limit, want := range map[string]string{"0": "", "1": "a", "-1": "abc", "": "abc"} {
		t.Setenv("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", limit)
		f := newFeed(t, Config{})
		f.Open(1, none, name("app::thing"), s("app::text", "abc"))
		f.m.Flush()
		got := attributeMap(f.trees[0].Spans[0].Attributes())
		if got["app.text"] != want || got["crypto.context.id"] == "" {
			t.Errorf("limit %q: attributes are %v", limit, got)
		}
		f.finish()
	}
}

// The general limits of attributes apply if those of spans are unset or empty. Dropped keys are counted.
func TestLimitsOfAttributesInTheEnvironment(t *testing.T) {
	const span, general = "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "OTEL_ATTRIBUTE_COUNT_LIMIT"
	const spanLength, generalLength = "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT"
	for _, c := range []struct {
		environ map[string]string
		keys    int // number of keys that stay, of 200
		text    string
	}{
		{nil, 128, "äöüäöü"},
		{map[string]string{span: "3"}, 3, "äöüäöü"},
		{map[string]string{general: "5"}, 5, "äöüäöü"},
		{map[string]string{span: "", general: "5", spanLength: "", generalLength: "2"}, 5, "äö"},
		{map[string]string{span: "7", general: "5", spanLength: "4", generalLength: "2"}, 7, "äöüä"},
		{map[string]string{span: "0"}, 0, ""},
		{map[string]string{span: "-1", general: "5", spanLength: "-1", generalLength: "2"}, 200, "äöüäöü"},
		{map[string]string{generalLength: "1"}, 128, "ä"},
	} {
		for _, name := range []string{span, general, spanLength, generalLength} {
			t.Setenv(name, c.environ[name])
		}
		f := newFeed(t, Config{})
		pairs := []event.Pair{name("app::thing")}
		for i := range 200 {
			pairs = append(pairs, s(fmt.Sprintf("app::k%03d", i), "äöüäöü"))
		}
		f.Open(1, none, pairs...)
		f.m.Flush()
		got, keys := attributeMap(f.trees[0].Spans[0].Attributes()), 0
		for key := range got {
			if strings.HasPrefix(key, "app.k") {
				keys++
			}
		}
		if text := got["app.k000"]; keys != c.keys || text != c.text {
			t.Errorf("%v: %d keys, the first is %q; want %d and %q", c.environ, keys, text, c.keys, c.text)
		}
		if dropped := f.m.Stats().DroppedAttributes.Total(); dropped != uint64(200-c.keys) {
			t.Errorf("%v: %d keys counted as dropped, want %d", c.environ, dropped, 200-c.keys)
		}
		f.finish()
	}
}

// If Config.Whole returns false, the sink gets only a tree's root. The root's attributes are the same as in the whole
// tree.
func TestWholeDecidesWhetherOnlyTheRootIsExported(t *testing.T) {
	t.Parallel()
	events := handshakeEvents()
	var asked []Tree
	whole := false
	f := newFeed(t, Config{Whole: func(tree Tree) bool {
		asked = append(asked, tree.Clone())
		return whole
	}})
	for _, whole = range []bool{false, true, false, true} { // the last two use the cached meaning
		for i := range events {
			f.m.Handle(&events[i])
		}
		f.m.Flush()
	}
	if len(f.trees) != 4 || len(asked) != 4 {
		t.Fatalf("%d trees, asked about %d, want 4", len(f.trees), len(asked))
	}
	for i, want := range []int{1, 7, 1, 7} {
		tree := f.trees[i]
		root := tree.Spans[0].Attributes()
		if first := f.trees[0].Spans[0].Attributes(); !slices.Equal(root, first) {
			t.Errorf("tree %d: the root says\n%v, want\n%v", i, root, first)
		}
		if len(tree.Spans) != want || len(tree.Operations) != len(f.trees[0].Operations) || tree.Events != 8 {
			t.Errorf("tree %d: %d spans, %d operations, %d events", i, len(tree.Spans), len(tree.Operations), tree.Events)
		}
		if len(asked[i].Spans) != 1 || asked[i].Spans[0].SpanID != tree.Spans[0].SpanID {
			t.Errorf("tree %d: asked about %d spans", i, len(asked[i].Spans))
		}
		for _, span := range tree.Spans[1:] {
			if span.Name == "" || !span.ParentID.IsValid() || span.TraceID != tree.Spans[0].TraceID {
				t.Errorf("tree %d has the span %+v", i, span)
			}
		}
	}
	if n := f.m.Stats().Spans; n != 1+7+1+7 {
		t.Errorf("%d spans counted, want 16", n)
	}
}

// A tree reports whether any of its spans failed or violates the policy, even if it only contains the root.
func TestTreeSaysWhatAnySpanDid(t *testing.T) {
	t.Parallel()
	rules, err := policy.New(policy.Config{Rules: []policy.Rule{{Name: "no-verify", Attribute: "span.name", Operator: "equals", Value: "pk::verify"}}})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		rules            Rules
		failed, violates bool
	}{
		"nothing":     {Rules{}, false, false},
		"a violation": {Rules{Policy: rules}, true, true},
	} {
		f := newFeed(t, Config{Rules: c.rules, Whole: func(Tree) bool { return false }})
		for _, ev := range handshakeEvents() {
			f.m.Handle(&ev)
		}
		f.m.Flush()
		if tree := f.trees[0]; tree.Failed != c.failed || tree.Violates != c.violates || len(tree.Spans) != 1 {
			t.Errorf("%s: failed %v, violates %v, %d spans", name, tree.Failed, tree.Violates, len(tree.Spans))
		}
	}
}
