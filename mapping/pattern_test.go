// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"

	"github.com/crau-otel/crau-otel/mapping/policy"
)

// Trees whose meaning is remembered are the same as those that are judged each time, whatever comes, and spans of one
// pattern differ in nothing that they must not differ in.
func TestPatternsChangeNothing(t *testing.T) {
	rules, err := policy.New(policy.Config{Name: "pq-only"})
	if err != nil {
		t.Fatal(err)
	}
	remembered := 0
	for seed := range uint64(100) {
		made := func(forget bool) (trees []string) {
			exact := make(map[uint64]string)
			cfg := tight(seed)
			cfg.Policy, cfg.Library = rules, func(file uint32) []attribute.KeyValue {
				return Library{Name: fmt.Sprint("lib", file)}.Attributes()
			}
			if seed%2 == 0 {
				cfg.Scopes = []string{"pk", "app"}
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
					if a := sp.Attributes()[own]; a.Key != attrContextID || len(id) != 32 || a.Value.AsString() != id {
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
			nonsense(seed, f, func() {
				if forget {
					f.m.patterns.forget()
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

// spanText is all of a span but its ids and times.
func spanText(sp *Span) string {
	var b strings.Builder
	fmt.Fprint(&b, sp.Name, sp.Kind, sp.Status, sp.DroppedAttributes, sp.ParentID.IsValid())
	for _, a := range sp.Attributes() {
		if a.Key != attrContextID {
			fmt.Fprintf(&b, " %s=%s", a.Key, a.Value.String())
		}
	}
	return b.String()
}

// What a program does for the first time is judged by the configuration of then.
func TestPatternsFollowTheConfiguration(t *testing.T) {
	f := newFeed(t, Config{})
	handshake := func() {
		f.open(1, none, name("tls::handshake_client"))
		f.open(2, 1, name("tls::key_exchange"), w("tls::group", 23))
		f.open(3, 2, name("pk::derive"), s("pk::algorithm", "ECDH"))
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
	f.m.Reconfigure(Config{Policy: rules})
	handshake()
	if n := violations(); n == 0 {
		t.Error("no violations, since the tree was like earlier ones")
	}
	f.finish()
}

// A program whose trees are never the same, or are all large, takes no memory for them.
func TestPatternsAreBounded(t *testing.T) {
	f := newFeed(t, Config{})
	f.m.cfg.Sink = func(Tree) {}
	most := 0
	for i := range 20000 {
		for range 2 { // what comes once is not learnt
			f.open(1, none, name("app::thing"))
			for j := range 20 {
				f.data(1, s(fmt.Sprintf("app::key%d", j), strings.Repeat("x", 50)), w("app::word", uint64(i)))
			}
			f.m.Flush()
		}
		most = max(most, f.m.patterns.bytes)
	}
	if most > maxPatternBytes || most < maxPatternBytes/2 {
		t.Errorf("%d bytes at most, want up to the limit of %d and not more", most, maxPatternBytes)
	}
	sum := 0
	for _, p := range f.m.patterns.known {
		if p != nil {
			sum += p.bytes
		}
	}
	if sum != f.m.patterns.bytes {
		t.Errorf("%d bytes of patterns, %d counted", sum, f.m.patterns.bytes)
	}
	for range 3 {
		f.open(1, none, name("app::large"))
		for j := range 1000 {
			f.open(uint64(j+2), 1, name("app::thing"))
		}
		f.m.Flush()
	}
	for _, p := range f.m.patterns.known {
		if p != nil && len(p.spans) > 1000 {
			t.Error("a tree of a thousand spans was learnt")
		}
	}
}

// What was shed earlier goes into what is left, which then is not like a tree that never had more.
func TestPatternsKnowOfWhatWasShed(t *testing.T) {
	f := newFeed(t, Config{MaxTreeSpans: 3})
	begin := func() {
		f.open(1, none, name("tls::handshake_client"))
		f.open(2, 1, name("tls::key_exchange"), w("tls::group", 29))
	}
	negotiated := func() (is string) {
		for _, sp := range f.trees[len(f.trees)-1].Spans {
			for _, a := range sp.Attributes() {
				if a.Key == attrTLSNegotiated {
					is += fmt.Sprint(a.Value.AsBool(), " ")
				}
			}
		}
		return is
	}
	for range 3 {
		begin()
		f.open(4, 2, name("pk::generate"))
		f.m.Flush()
		if got := negotiated(); got != "false " {
			t.Fatalf("negotiated: %s", got)
		}
	}
	begin()
	f.open(3, 2, name("pk::derive"))
	f.open(4, 2, name("pk::generate")) // for which the other one goes
	f.m.Flush()
	if got := negotiated(); got != "true " {
		t.Errorf("negotiated: %s, want true: a secret was made", got)
	}
	f.finish()
}
