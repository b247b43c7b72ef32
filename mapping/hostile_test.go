// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"math/rand/v2"
	"testing"

	"github.com/crau-otel/crau-otel/tracer/event"
)

// Events without any sense, on few ids and with tight limits, so that every way of opening, joining, shedding and
// evicting meets every other: nothing breaks, and every hit is accounted for.
func TestNonsenseBreaksNothing(t *testing.T) {
	for seed := range uint64(300) {
		f := newFeed(t, tight(seed))
		nonsense(seed, f, func() {
			checkTrees(t, f.m, seed)
			if st := f.m.Stats(); st.OpenContexts < 0 || st.OpenContexts > f.m.cfg.MaxOpenContexts {
				t.Fatalf("seed %d: %d open contexts, the limit is %d", seed, st.OpenContexts, f.m.cfg.MaxOpenContexts)
			}
		})
		f.finish()
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func tight(seed uint64) Config {
	return Config{
		MaxOpenContexts: 12 + int(seed%20), MaxTreeSpans: 2 + int(seed%7), MaxProcesses: 2, MaxOpenBytes: 1000 + 100*int(seed%30),
	}
}

// nonsense feeds 2000 events that the seed makes up and calls after each.
func nonsense(seed uint64, f *feed, after func()) {
	names := []string{
		"", "tls::handshake", "tls::handshake_client", "tls::handshake_server", "tls::key_exchange", "tls::verify", "pk::derive",
		"pk::encapsulate", "pk::generate", "app::thing",
	}
	r := rand.New(rand.NewPCG(seed, 1))
	ids := 2 + int(seed%6)
	id := func() uint64 { return uint64(r.IntN(ids)) }
	for range 2000 {
		f.pid = 10 + uint32(r.IntN(3))
		f.tid = 100*f.pid + uint32(r.IntN(2))
		var pairs []event.Pair
		if n := names[r.IntN(len(names))]; n != "" {
			pairs = append(pairs, name(n))
		}
		if r.IntN(2) == 0 {
			pairs = append(pairs, w("tls::protocol_version", 0x0304), w("tls::group", 0x11ec), s("pk::algorithm", "ECDH"))
		}
		switch r.IntN(12) {
		case 0:
			f.enter(1 + id())
		case 1:
			f.leave(1 + id())
		case 2, 3, 4:
			f.data(id(), pairs...)
		case 5:
			self := id()
			f.open(self, self, pairs...)
		case 6:
			f.open(id(), none, pairs...)
		case 7:
			f.m.Tick(f.now + uint64(r.IntN(3))*sec)
		case 8:
			if r.IntN(50) == 0 {
				f.event(event.Event{Kind: event.ProcessExit})
			}
		default:
			f.open(id(), id(), pairs...)
		}
		after()
	}
}

// checkTrees checks what must hold of the unfinished trees between two events.
func checkTrees(t *testing.T, m *Mapper, seed uint64) {
	t.Helper()
	contexts, bytes := 0, 0
	for e := m.trees.Front(); e != nil; e = e.Next() {
		tr := e.Value.(*tree)
		contexts += len(tr.nodes)
		if len(tr.nodes) == 0 || tr.root().parent != nil {
			t.Fatalf("seed %d: a tree without a root", seed)
		}
		seen := make(map[*node]bool)
		for i, n := range tr.nodes {
			seen[n] = true
			for i := range n.data {
				bytes += n.data[i].size()
			}
			switch {
			case n.tree != tr:
				t.Fatalf("seed %d: a context of a tree belongs to another one", seed)
			case i > 0 && !seen[n.parent]:
				t.Fatalf("seed %d: a parent is missing, or comes after its child", seed)
			case n.child != nil && n.child.parent != n:
				t.Fatalf("seed %d: a child has another parent", seed)
			case !n.superseded && n.parent != nil && (n.parent.superseded || n.parent.child != n):
				t.Fatalf("seed %d: a context goes on although its parent does not lead to it", seed)
			}
		}
	}
	for _, p := range m.procs {
		for _, th := range p.threads {
			for id, n := range th.open {
				if n.tree == nil || n.ctx != id || n.thread != th {
					t.Fatalf("seed %d: an id means a context that is not open, or another one", seed)
				}
			}
		}
	}
	if bytes != m.bytes {
		t.Fatalf("seed %d: %d bytes of data in the trees, %d counted", seed, bytes, m.bytes)
	}
	if contexts != m.contexts {
		t.Fatalf("seed %d: %d contexts in the trees, %d counted", seed, contexts, m.contexts)
	}
}
