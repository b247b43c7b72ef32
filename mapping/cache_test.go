// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"

	"github.com/crau-otel/crau-otel/mapping/internal/eventtest"
	"github.com/crau-otel/crau-otel/mapping/policy"
	"github.com/crau-otel/crau-otel/mapping/schema"
	"github.com/crau-otel/crau-otel/tracer/event"
)

// For random events, a mapper that caches meanings makes the same trees as one that interprets each tree again, and
// spans with the same pattern differ only in ids, times and resource.
func TestRememberedMeaningsAreTheSame(t *testing.T) {
	rules, err := policy.New(policy.Config{Name: "pq-only"})
	if err != nil {
		t.Fatal(err)
	}
	remembered := 0
	for seed := range uint64(100) {
		made := func(forget bool) (trees []string) {
			exact := make(map[uint64]string)
			cfg := tight(seed)
			cfg.Rules.Policy, cfg.Library = rules, func(file uint32) []attribute.KeyValue {
				return Library{Name: fmt.Sprint("lib", file)}.Attributes()
			}
			if seed%2 == 0 {
				cfg.Rules.Scopes = []string{"pk", "app"}
			}
			f := newFeed(t, cfg)
			f.m.cfg.Sink = func(tree Tree) {
				var b strings.Builder
				fmt.Fprintln(&b, tree.Events, tree.Downgraded, tree.Weak)
				for _, op := range tree.Operations {
					fmt.Fprintf(&b, "%+v\n", op)
				}
				for i := range tree.Spans {
					sp := &tree.Spans[i]
					text := spanText(sp)
					fmt.Fprintln(&b, text, sp.End.UnixNano(), sp.End.Sub(sp.Start),
						slices.IndexFunc(tree.Spans, func(p Span) bool {
							return p.SpanID == sp.ParentID
						}), sp.ParentID.IsValid())
					number, own, id := sp.Pattern()
					if a := sp.Attributes()[own]; a.Key != schema.AttrContextID || len(id) != 32 || a.Value.AsString() != id {
						t.Fatalf("seed %d: the attribute that is a span's own is %v, its text %s", seed, a, id)
					}
					if number == 0 {
						continue
					}
					remembered++
					if other, ok := exact[number]; ok && other != text {
						t.Fatalf("seed %d: two spans of one pattern:\n%s\n%s", seed, other, text)
					}
					exact[number] = text
				}
				trees = append(trees, b.String())
			}
			eventtest.Nonsense(seed, f.Source, f.m.Tick, func() {
				if forget {
					f.m.meanings.SetRules(f.m.meaningRules())
				}
			})
			f.m.Flush()
			return trees
		}
		got, want := made(false), made(true)
		for i := range min(len(got), len(want)) {
			if got[i] != want[i] {
				t.Fatalf("seed %d, tree %d:\n%s\nwithout patterns:\n%s", seed, i, got[i], want[i])
			}
		}
		if len(got) != len(want) {
			t.Fatalf("seed %d: %d trees, without patterns %d", seed, len(got), len(want))
		}
	}
	if remembered < 10000 {
		t.Errorf("%d spans are of patterns: the test tests nothing", remembered)
	}
}

// spanText formats a span without ids and times.
func spanText(sp *Span) string {
	var b strings.Builder
	fmt.Fprint(&b, sp.Name, sp.Kind, sp.Status, sp.DroppedAttributes, sp.ParentID.IsValid())
	for _, a := range sp.Attributes() {
		if a.Key != schema.AttrContextID {
			fmt.Fprintf(&b, " %s=%s", a.Key, a.Value.String())
		}
	}
	return b.String()
}

// Meanings that were cached under earlier rules are not used after a change of rules.
func TestRememberedMeaningsFollowTheRules(t *testing.T) {
	f := newFeed(t, Config{})
	handshake := func() {
		f.Open(1, none, name("tls::handshake_client"))
		f.Open(2, 1, name("tls::key_exchange"), w("tls::group", 23))
		f.Open(3, 2, name("pk::derive"), s("pk::algorithm", "ECDH"))
		f.m.Flush()
	}
	violations := func() (n int) {
		for _, op := range f.trees[len(f.trees)-1].Operations {
			n += len(op.Violations)
		}
		return n
	}
	for range 3 {
		handshake()
	}
	if n := violations(); n != 0 {
		t.Fatalf("%d violations without a policy", n)
	}
	rules, err := policy.New(policy.Config{Name: "pq-only"})
	if err != nil {
		t.Fatal(err)
	}
	f.m.Reconfigure(Rules{Policy: rules})
	handshake()
	if n := violations(); n == 0 {
		t.Error("no violations, since the tree was like earlier ones")
	}
	f.finish()
}

// After LibrariesChanged, cached meanings with the library's earlier attributes are not used.
func TestRememberedMeaningsFollowTheLibrary(t *testing.T) {
	trusted := true
	f := newFeed(t, Config{Library: func(uint32) []attribute.KeyValue {
		return Library{Name: "libtls.so", Trusted: trusted}.Attributes()
	}})
	handshake := func() string {
		f.Open(1, none, name("tls::handshake_client"))
		f.m.Flush()
		return attributeMap(f.trees[len(f.trees)-1].Spans[0].Attributes())["crypto.library.trusted"]
	}
	for range 3 {
		if got := handshake(); got != "true" {
			t.Fatalf("crypto.library.trusted is %s, want true", got)
		}
	}
	trusted = false
	f.m.LibrariesChanged()
	if got := handshake(); got != "false" {
		t.Errorf("crypto.library.trusted is %s since the file changed, want false", got)
	}
	f.finish()
}

// The contexts that were shed from a tree still count for the contexts that stay in it. Such a tree therefore does not
// get the cached meaning of an equal tree that has shed nothing.
func TestShedContextsCountForThoseThatStay(t *testing.T) {
	f := newFeed(t, Config{MaxTreeSpans: 3})
	begin := func() {
		f.Open(1, none, name("tls::handshake_client"))
		f.Open(2, 1, name("tls::key_exchange"), w("tls::group", 29))
	}
	negotiated := func() (is string) {
		for _, sp := range f.trees[len(f.trees)-1].Spans {
			for _, a := range sp.Attributes() {
				if a.Key == schema.AttrTLSNegotiated {
					is += fmt.Sprint(a.Value.AsBool(), " ")
				}
			}
		}
		return is
	}
	for range 3 {
		begin()
		f.Open(4, 2, name("pk::generate"))
		f.m.Flush()
		if got := negotiated(); got != "false " {
			t.Fatalf("negotiated: %s", got)
		}
	}
	begin()
	f.Open(3, 2, name("pk::derive"))
	f.Open(4, 2, name("pk::generate")) // pk::derive is shed to make room for pk::generate
	f.m.Flush()
	if got := negotiated(); got != "true " {
		t.Errorf("negotiated: %s, want true: a secret was made", got)
	}
	f.finish()
}

// Equal handshakes from package wire share a cached meaning, although the list of groups is a separate copy in each.
func TestMeaningsOfConnectionsAreRemembered(t *testing.T) {
	t.Parallel()
	var events []event.Event
	for range 5 {
		events = append(append(events, wireHandshake(0x11ec)...), onWire(event.ContextEnd, wireRoot, 0))
	}
	events = append(append(events, wireHandshake(0x001d)...), onWire(event.ContextEnd, wireRoot, 0))
	var patterns []uint64
	m, err := New(Config{Wall: func(boot uint64) time.Time { return time.Unix(0, int64(boot)) }, Sink: func(tree Tree) {
		number, _, _ := tree.Spans[0].Pattern()
		patterns = append(patterns, number)
	}})
	if err != nil {
		t.Fatal(err)
	}
	for i := range events {
		events[i].Time = uint64(i + 1)
		m.Handle(&events[i])
	}
	m.Flush()
	if p := patterns; len(p) != 6 || p[1] == 0 || p[1] != p[2] || p[1] != p[3] || p[1] != p[4] || p[5] == p[1] {
		t.Errorf("patterns of five equal trees and another are %v, want one from the second on", patterns)
	}
}
