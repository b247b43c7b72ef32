// SPDX-License-Identifier: Apache-2.0

package contexts

import (
	"fmt"
	"testing"
	"time"

	"github.com/crau-otel/crau-otel/mapping/internal/eventtest"
	"github.com/crau-otel/crau-otel/tracer/event"
)

// newTest returns a tracker with tight limits that depend on the seed, and a source that feeds it.
func newTest(seed uint64, finished func(*Finished)) (*Tracker, *eventtest.Source) {
	t := New(Config{
		IdleTimeout: 2 * time.Second, MaxContexts: 12 + int(seed%20), MaxTreeContexts: 2 + int(seed%7), MaxProcesses: 2,
		MaxBytes: 1000 + 100*int(seed%30), MaxPairs: 128,
		Owner: func(pid uint32, _ event.Process) Owner {
			return Owner{fmt.Sprint(pid % 3), OwnerClass(pid % 3)}
		},
		Excluded: func(string) bool { return false },
		Identify: func(uint32, event.Process) any { return nil },
		Finished: func(f *Finished) []any {
			finished(f)
			return make([]any, len(f.Contexts))
		},
	})
	return t, eventtest.NewSource(t.Handle)
}

func TestNonsenseKeepsTheInvariants(t *testing.T) {
	t.Parallel()
	for seed := range uint64(300) {
		events := 0
		tracker, src := newTest(seed, func(f *Finished) {
			events += f.Events
			checkFinished(t, f, seed)
		})
		eventtest.Nonsense(seed, src, tracker.Tick, func() {
			checkTrees(t, tracker, seed)
			if st := tracker.Stats(); st.OpenContexts < 0 || st.OpenContexts > tracker.cfg.MaxContexts {
				t.Fatalf("seed %d: %d open contexts, the limit is %d", seed, st.OpenContexts, tracker.cfg.MaxContexts)
			}
		})
		tracker.Flush()
		st := tracker.Stats()
		if uint64(events)+st.Sessions != st.Events || st.Events != uint64(src.Hits) {
			t.Fatalf("seed %d: %d hits, %d in finished trees: %+v", seed, src.Hits, events, st)
		}
		if st.OpenContexts != 0 || st.OpenBytes != 0 || st.OpenTrees != 0 {
			t.Fatalf("seed %d: something is still open: %+v", seed, st)
		}
	}
}

// checkFinished checks that a finished tree or part is well-formed.
func checkFinished(t *testing.T, f *Finished, seed uint64) {
	t.Helper()
	data := 0
	for i, trait := range f.Shape.Traits {
		data += int(trait.Data)
		if int(trait.Parent) >= i || (trait.Parent < 0) != (i == 0) {
			t.Fatalf("seed %d: context %d has parent %d", seed, i, trait.Parent)
		}
		if trait.Open && (!f.Part || trait.Superseded) {
			t.Fatalf("seed %d: context %d cannot be open", seed, i)
		}
		if i > 0 && f.Contexts[i].End > f.Contexts[trait.Parent].End && !trait.Open {
			t.Fatalf("seed %d: context %d ends after its parent", seed, i)
		}
	}
	if data != len(f.Shape.Data) || len(f.Contexts) != len(f.Shape.Traits) {
		t.Fatalf("seed %d: %d data of contexts, %d in all", seed, data, len(f.Shape.Data))
	}
}

// checkTrees checks the invariants of the open trees.
func checkTrees(t *testing.T, tracker *Tracker, seed uint64) {
	t.Helper()
	contexts, bytes := 0, 0
	for tr := tracker.open.byIdle.front; tr != nil; tr = tr.links[byIdle].after {
		contexts += len(tr.contexts)
		if len(tr.contexts) == 0 || tr.root().parent != nil {
			t.Fatalf("seed %d: a tree without a root", seed)
		}
		seen := make(map[*context]bool)
		for i, c := range tr.contexts {
			seen[c] = true
			foreign := 0
			for i := range c.data {
				bytes += c.data[i].Size()
				if c.data[i].Foreign {
					foreign++
				}
			}
			if foreign != c.foreign || foreign > maxForeign {
				t.Fatalf("seed %d: %d foreign pairs, %d counted", seed, foreign, c.foreign)
			}
			switch {
			case c.tree != tr:
				t.Fatalf("seed %d: a context of a tree belongs to another one", seed)
			case i > 0 && !seen[c.parent]:
				t.Fatalf("seed %d: a parent is missing, or comes after its child", seed)
			case c.newest != nil && c.newest.parent != c:
				t.Fatalf("seed %d: a child has another parent", seed)
			case !c.superseded && c.parent != nil && (c.parent.superseded || c.parent.newest != c):
				t.Fatalf("seed %d: a context goes on although its parent does not lead to it", seed)
			}
		}
	}
	for _, p := range tracker.processes {
		for _, th := range p.threads {
			for id, c := range th.open {
				files := make(map[uint32]bool)
				for ; c != nil; c = c.sameID {
					if c.tree == nil || c.id != id || c.thread != th || files[c.file] {
						t.Fatalf("seed %d: an id refers to a context that is not open, or to another one", seed)
					}
					files[c.file] = true
				}
			}
		}
	}
	if st := tracker.Stats(); bytes != st.OpenBytes || contexts != st.OpenContexts {
		t.Fatalf("seed %d: %d contexts and %d bytes in the trees, counted %+v", seed, contexts, bytes, st)
	}
	checkOwners(t, tracker, seed)
}

// checkOwners checks that the use of each owner and the sums over all owners are right, and that rankings are in order.
func checkOwners(t *testing.T, tracker *Tracker, seed uint64) {
	t.Helper()
	for _, g := range []*owners{&tracker.shares.root, &tracker.shares.others} {
		for i, o := range g.changed {
			if !o.changed || o.changedAt != i || tracker.shares.owners[o.Owner] != o {
				t.Fatalf("seed %d: an owner that is gone, or is ranked, is to be ranked", seed)
			}
		}
		tracker.shares.largest(g) // updates the ranks
		var sum usage
		for i, r := range g.byMemory.ranks {
			o := r.owner
			var contexts, bytes, trees int
			for tr := o.trees.front; tr != nil; tr = tr.links[byOwner].after {
				trees++
				contexts += len(tr.contexts)
				for _, c := range tr.contexts {
					bytes += c.size()
				}
			}
			if contexts != o.contexts || bytes != o.bytes || trees != o.trees.n || o.usage.processes != o.processes.Len() {
				t.Fatalf("seed %d: an owner has %d contexts and %d bytes in %d trees: %+v", seed, contexts, bytes, trees, o.usage)
			}
			if r.use != tracker.shares.memory(o) || r.index != i || r.use > g.byMemory.top().memoryRank.use {
				t.Fatalf("seed %d: an owner has another rank than it should", seed)
			}
			sum.add(contexts, bytes)
			sum.processes += o.usage.processes
		}
		for i, r := range g.byProcesses.ranks {
			if r.use != uint64(r.owner.usage.processes) || r.index != i || r.use > g.byProcesses.ranks[0].use {
				t.Fatalf("seed %d: an owner has another rank by processes than it should", seed)
			}
		}
		if sum != g.usage || len(g.byMemory.ranks) != len(g.byProcesses.ranks) {
			t.Fatalf("seed %d: owners use %+v, counted %+v", seed, sum, g.usage)
		}
	}
}

func TestThreadsWithNothingOpenAreForgotten(t *testing.T) {
	t.Parallel()
	tracker, src := newTest(10, func(*Finished) {})
	src.Begin(1, event.NoParent, eventtest.Name("app::one"))
	tracker.Tick(src.Now + 2*eventtest.Second)
	if len(tracker.processes[src.PID].threads) != 0 {
		t.Error("the thread is remembered although nothing of it is open")
	}
}

// Threads that only report sessions have no tree that could become idle, but their number is bounded too.
func TestThreadsWithSessionsOnlyAreBounded(t *testing.T) {
	t.Parallel()
	tracker, src := newTest(10, func(*Finished) {})
	for src.TID = range uint32(10_000) {
		src.Enter(7)
	}
	if n := len(tracker.processes[src.PID].threads); n > 2*maxIdleThreads {
		t.Errorf("%d threads are remembered", n)
	}
}
