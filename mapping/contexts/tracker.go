// SPDX-License-Identifier: Apache-2.0

package contexts

import (
	"math"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/crau-otel/crau-otel/mapping/shape"
	"github.com/crau-otel/crau-otel/tracer/event"
)

// Config configures a [Tracker]. All fields are required.
type Config struct {
	// IdleTimeout is how long a tree may be without an event before it ends.
	IdleTimeout time.Duration
	// MaxContexts bounds the contexts of all open trees. Each owner has a share of this limit, and of those on bytes and
	// share: see shares.go.
	MaxContexts int
	// MaxBytes bounds the memory of the keys and values of all open trees.
	MaxBytes int
	// MaxTreeContexts bounds one tree.
	MaxTreeContexts int
	// MaxPairs bounds the pairs of one context; negative means no limit.
	MaxPairs int
	// MaxProcesses bounds the processes.
	MaxProcesses int
	// Owner returns the owner that a process counts against. The record is zero if it did not arrive.
	Owner func(pid uint32, record event.Process) Owner
	// Excluded reports whether pairs with this key are excluded.
	Excluded func(emitted string) bool
	// Identify returns the program that a process runs. The record is zero if it did not arrive. Results are compared with
	// ==: the trees of a process end when its program changes.
	Identify func(pid uint32, record event.Process) any
	// Finished receives each finished tree. For the contexts of a part that stay open, it returns what to carry over: see
	// [shape.Trait.Carry]. f and everything it refers to are valid until Finished returns.
	Finished func(f *Finished) (carry []any)
}

// Finished is a tree that ended, or the part of a tree that was shed.
type Finished struct {
	Process *Process
	TraceID trace.TraceID
	// Events is the number of probe hits that the tree was made of, without those of earlier parts.
	Events int
	// Part is set if the tree stays open. Contexts that the shape marks as open are only there as parents of the others.
	Part bool
	// Link is the root of another tree that may be the same handshake; invalid if there is none.
	Link Link
	// Shape does not identify the process; Process does.
	Shape shape.Shape
	// Contexts holds identities and times, which are not in the shape, in the order of Shape.Traits.
	Contexts []Context
}

// Context is a context's identity and its times.
type Context struct {
	ID         uint64 // as emitted
	TID        uint32
	SpanID     trace.SpanID
	Start, End uint64 // boot time, ns
}

// Stats counts what the tracker did. Events is the sum of the events of all finished trees, of those still open, and of
// Sessions.
type Stats struct {
	Events       uint64      // probe hits
	Sessions     uint64      // of those, hits that report a session and belong to no context
	Truncated    ClassCounts // of those, hits with a key, value or array that was cut
	Excluded     uint64      // pairs with an excluded key
	ForeignPairs uint64      // pairs for contexts that another file opened
	DroppedPairs ClassCounts // pairs over the limit of a context
	Evictions    Evictions
	OpenContexts int
	OpenBytes    int
	OpenTrees    int
	Processes    int
	Owners       int // of processes
}

// Tracker keeps the open contexts. It is fed from one goroutine.
type Tracker struct {
	cfg           Config
	interner      interner
	processes     map[uint32]*Process
	newestProcess *Process // the one of processes whose event came last; nil if unknown
	shares        shares
	open          openTrees
	stats         Stats
	finished      Finished // memory for the tree that is being handed up
}

// New returns a tracker without contexts.
func New(cfg Config) *Tracker {
	return &Tracker{
		cfg:       cfg,
		interner:  newInterner(cfg.Excluded),
		processes: make(map[uint32]*Process),
		shares:    newShares(&cfg),
		open:      openTrees{maxPairs: cfg.MaxPairs},
	}
}

// Reconfigure changes the idle timeout. It calls Excluded and Identify again for all known keys and processes.
func (t *Tracker) Reconfigure(idleTimeout time.Duration) {
	t.cfg.IdleTimeout = idleTimeout
	t.interner.reconsider()
	for _, p := range t.processes {
		p.Program = t.cfg.Identify(p.PID, p.Record)
	}
}

// Stats returns the counters.
func (t *Tracker) Stats() Stats {
	s := t.stats
	s.DroppedPairs = t.open.dropped
	used := t.shares.used()
	s.OpenContexts, s.OpenBytes = used.contexts, used.bytes
	s.OpenTrees, s.Processes, s.Owners = t.open.byIdle.n+t.open.followed.n, len(t.processes), len(t.shares.owners)
	return s
}

// Handle processes one event.
func (t *Tracker) Handle(ev *event.Event) {
	if p := t.lookup(ev.PID); p != nil && ev.Lost != p.lost && !fromWire(ev) {
		p.noteLost(ev.Lost)
	}
	switch ev.Kind {
	case event.ProcessStart:
		t.startProcess(ev)
	case event.ProcessExit:
		if p := t.lookup(ev.PID); p != nil {
			t.exitProcess(p)
		}
	case event.SessionEnter, event.SessionLeave:
		t.stats.Events++
		t.stats.Sessions++
		th, session := t.thread(ev), key{ev.Context, ev.File}
		if ev.Kind == event.SessionEnter {
			th.session = session
		} else {
			t.closeSession(th.process, session)
		}
	case event.NewContext:
		th := t.thread(ev)
		t.countHit(th, ev)
		t.newContext(th, ev)
	case event.Data:
		th := t.thread(ev)
		t.countHit(th, ev)
		t.data(th, ev)
	case event.ContextEnd:
		th := t.thread(ev)
		t.endWire(th, ev)
	}
}

// countHit counts an event that is a probe hit.
func (t *Tracker) countHit(th *thread, ev *event.Event) {
	if fromWire(ev) {
		return
	}
	t.stats.Events++
	if ev.Flags&(event.Cut|event.KeyCut) != 0 {
		t.stats.Truncated[th.process.owner.Class]++
	}
}

// never is a boot time in the infinite future.
const never = math.MaxUint64

// Tick ends the trees that are idle at boot time now, in ns. Every event up to that time must have been handled.
func (t *Tracker) Tick(now uint64) {
	idle := uint64(t.cfg.IdleTimeout)
	for tr := t.open.byIdle.front; tr != nil; tr = t.open.byIdle.front {
		if tr.last+idle > now {
			return
		}
		if t.open.joinLast(tr, now-idle+1) {
			continue
		}
		th := tr.thread
		t.finish(tr, shape.EndIdle)
		th.forgetIfEmpty()
	}
}

// Flush ends all trees because crau-otel stops.
func (t *Tracker) Flush() {
	for _, list := range []*treeList{&t.open.byIdle, &t.open.followed} {
		for tr := list.front; tr != nil; tr = list.front {
			if !t.open.joinLast(tr, never) {
				t.finish(tr, shape.EndShutdown)
			}
		}
	}
}
