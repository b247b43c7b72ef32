// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"strconv"
	"testing"
	"unicode/utf8"

	"go.opentelemetry.io/otel/attribute"

	"github.com/crau-otel/crau-otel/mapping/internal/eventtest"
	"github.com/crau-otel/crau-otel/tracer/event"
)

// wantText checks that text is valid UTF-8 and, if it is a name, that it contains only printable characters.
func wantText(t *testing.T, where, text string, isName bool) {
	t.Helper()
	if !utf8.ValidString(text) {
		t.Fatalf("%s: %q is not UTF-8", where, text)
	}
	for _, r := range text {
		if isName && !strconv.IsPrint(r) {
			t.Fatalf("%s: %q contains %U", where, text, r)
		}
	}
}

func wantTexts(t *testing.T, where string, attrs []attribute.KeyValue, areNames bool) {
	t.Helper()
	for _, a := range attrs {
		wantText(t, where, string(a.Key), true)
		switch a.Value.Type() {
		case attribute.STRING:
			wantText(t, where+" "+string(a.Key), a.Value.AsString(), areNames)
		case attribute.STRINGSLICE:
			for _, s := range a.Value.AsStringSlice() {
				wantText(t, where+" "+string(a.Key), s, areNames)
			}
		default:
		}
	}
}

// mapText maps a tree in which text is used for everything that comes from outside crau-otel.
func mapText(t *testing.T, text string) Tree {
	t.Helper()
	outside := []attribute.KeyValue{
		attribute.String("from.outside", text), attribute.StringSlice("list", []string{"fine", text}),
		attribute.String(text, text),
	}
	f := newFeed(t, Config{
		Library: func(uint32) []attribute.KeyValue {
			return Library{Name: text, Path: text, Version: text, BuildID: text}.Attributes()
		},
		Rules: Rules{Describe: func(uint32, event.Process) []attribute.KeyValue { return outside }},
	})
	f.Event(event.Event{Kind: event.ProcessStart, Process: event.Process{Executable: text, Comm: text, StartTime: 2}})
	f.Open(hs, none, eventtest.Name(text), eventtest.String(text, text), eventtest.String("pk::algorithm", text))
	f.Open(kx, hs, eventtest.Name("pk::sign"), eventtest.String("pk::algorithm", text), eventtest.String("app::"+text, text))
	f.Data(kx, event.Pair{Key: []byte("app::cut" + text), Type: event.String, Value: []byte(text), Flags: event.Cut})
	f.Data(kx, event.Pair{Key: []byte("app::gone" + text), Type: event.String, Flags: event.Fault})
	f.finish()
	if len(f.trees) != 1 {
		t.Fatalf("%d trees, want 1", len(f.trees))
	}
	return f.trees[0]
}

// checkText checks all text of a tree: in spans, in the resource and in the operations, which become labels of metrics.
func checkText(t *testing.T, tree Tree) {
	t.Helper()
	wantTexts(t, "resource", tree.Resource.Attributes(), true)
	for i := range tree.Spans {
		wantText(t, "span name", tree.Spans[i].Name, true)
		wantTexts(t, "span", tree.Spans[i].Attributes(), false)
		wantText(t, "status", tree.Spans[i].Status.Description, false)
	}
	for _, op := range tree.Operations {
		wantText(t, "executable", op.Executable, true)
		wantText(t, "operation", op.Name, true)
		wantText(t, "algorithm", op.Algorithm, true)
		wantText(t, "role", op.Role, true)
	}
}

func TestTextFromOutsideIsMadeValid(t *testing.T) {
	tree := mapText(t, "caf\xe9\n\x1b[31m")
	checkText(t, tree)
	const name = `caf\xe9\n\x1b[31m`
	if got, _ := tree.Resource.Set().Value("service.name"); got.AsString() != name {
		t.Errorf("service.name is %q, want %q", got.AsString(), name)
	}
	if got, _ := tree.Resource.Set().Value("from.outside"); got.AsString() != name {
		t.Errorf("a described attribute is %q, want %q", got.AsString(), name)
	}
	attrs := attribute.NewSet(tree.Spans[0].Attributes()...)
	for _, key := range []attribute.Key{"crypto.library.name", "crypto.library.path"} {
		if got, _ := attrs.Value(key); got.AsString() != name {
			t.Errorf("%s is %q, want %q", key, got.AsString(), name)
		}
	}
	if got := tree.Spans[0].Name; got != name {
		t.Errorf("the span's name is %q, want %q", got, name)
	}
}

// Config.Resource contains text from the environment, which is made valid too.
func TestResourceOfTheHostIsMadeValid(t *testing.T) {
	f := newFeed(t, Config{Resource: resourceOf(attribute.String("team", "a\xffb"))})
	f.Open(hs, none, name("app::root"))
	f.finish()
	if got, _ := f.trees[0].Resource.Set().Value("team"); got.AsString() != `a\xffb` {
		t.Errorf("team is %q", got.AsString())
	}
}

func FuzzTextFromOutside(f *testing.F) {
	for _, s := range []string{"", "nginx", "caf\xe9", "a\nb", "\x1b[2J", "\u202e", "\xff\x00", "crypto.pqc.status", "a::b.c"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		checkText(t, mapText(t, text))
	})
}
