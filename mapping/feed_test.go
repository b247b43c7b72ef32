// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdkresource "go.opentelemetry.io/otel/sdk/resource"

	"github.com/crau-otel/crau-otel/mapping/internal/eventtest"
	"github.com/crau-otel/crau-otel/mapping/schema"
	"github.com/crau-otel/crau-otel/tracer/event"
)

const (
	us, ms, sec = eventtest.Microsecond, eventtest.Millisecond, eventtest.Second

	none = event.NoParent
)

func w(key string, value uint64) event.Pair { return eventtest.Word(key, value) }
func s(key, value string) event.Pair        { return eventtest.String(key, value) }
func name(value string) event.Pair          { return eventtest.Name(value) }

// feed is a source of events that a mapper turns into trees.
type feed struct {
	*eventtest.Source
	t     testing.TB
	m     *Mapper
	trees []Tree
}

func newFeed(t testing.TB, cfg Config) *feed {
	t.Helper()
	f := &feed{t: t}
	cfg.Wall = func(boot uint64) time.Time { return time.Unix(0, int64(boot)) }
	cfg.Sink = func(tree Tree) { f.trees = append(f.trees, tree.Clone()) }
	m, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	f.m, f.Source = m, eventtest.NewSource(m.Handle)
	return f
}

// finish flushes the mapper, checks that every hit is accounted for, and returns the trees as text, in the order in
// which they ended.
func (f *feed) finish() []string {
	f.t.Helper()
	f.m.Flush()
	events, spans := 0, 0
	var texts []string
	for _, tree := range f.trees {
		events += tree.Events
		spans += len(tree.Spans)
		texts = append(texts, treeText(f.t, tree.Spans))
		for i := range tree.Spans {
			wantKeysOnce(f.t, tree.Spans[i].Attributes())
		}
	}
	st := f.m.Stats()
	if uint64(f.Hits) != st.Events || uint64(events)+st.Sessions+st.Hidden != st.Events || uint64(spans) != st.Spans {
		f.t.Errorf("%d events fed, %d in %d spans came out: %+v", f.Hits, events, spans, st)
	}
	if st.OpenContexts != 0 || st.OpenTrees != 0 {
		f.t.Errorf("something is still open: %+v", st)
	}
	return texts
}

// treeText returns spans as text, one per line and indented below their parents, with their attributes. It omits end
// reasons and attributes that differ between runs or are the same in most tests.
func treeText(t testing.TB, spans []Span) string {
	t.Helper()
	depth := make(map[string]int)
	var b strings.Builder
	missing := make(map[string]bool) // ids of parents that did not come before their children
	for i := range spans {
		sp := &spans[i]
		d := 0
		if sp.ParentID.IsValid() {
			parent, ok := depth[sp.ParentID.String()]
			missing[sp.ParentID.String()] = !ok
			d = parent + 1
		}
		if missing[sp.SpanID.String()] {
			t.Errorf("span %s comes after its children", sp.Name)
		}
		depth[sp.SpanID.String()] = d
		fmt.Fprintf(&b, "%s%s", strings.Repeat("  ", d), sp.Name)
		if k := sp.Kind.String(); k != "internal" {
			b.WriteString(" [" + k + "]")
		}
		for _, a := range sp.Attributes() {
			if a.Key == schema.AttrContextID || a.Key == schema.AttrContextEnd || a.Key == schema.AttrUserClass ||
				a.Key == schema.AttrOwnerClass || a.Key == schema.AttrProcessTrust || a == schema.AttrSource.String("probe") {
				continue
			}
			fmt.Fprintf(&b, " %s=%s", a.Key, a.Value.String())
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func wantTrees(t *testing.T, got []string, want ...string) {
	t.Helper()
	for i := range want {
		want[i] = strings.TrimPrefix(want[i], "\n")
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %d trees:\n%s\nwant %d:\n%s", len(got), strings.Join(got, "\n"), len(want), strings.Join(want, "\n"))
	}
}

func resourceOf(attrs ...attribute.KeyValue) *sdkresource.Resource {
	return sdkresource.NewSchemaless(attrs...)
}

// wantKeysOnce checks that no key occurs twice: OTLP forbids it, and backends handle it differently.
func wantKeysOnce(t testing.TB, attrs []attribute.KeyValue) {
	t.Helper()
	seen := make(map[attribute.Key]bool)
	for _, a := range attrs {
		if seen[a.Key] || a.Key == "" {
			t.Errorf("the attribute %q is there twice, or has no name: %v", a.Key, attrs)
		}
		seen[a.Key] = true
	}
}
