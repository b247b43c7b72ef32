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
	// MaxContexts bounds the contexts of all open trees. This limit, MaxBytes and MaxProcesses are shared between owners:
	// see shares.go.
	MaxContexts int
	// MaxBytes bounds the memory of the keys and values of all open trees.
	MaxBytes int
	// MaxTreeContexts bounds the contexts of one tree.
	MaxTreeContexts int
	// MaxPairs bounds the pairs of one context; negative means no limit.
	MaxPairs int
	// MaxProcesses bounds the processes that the tracker remembers.
	MaxProcesses int
	// Owner returns the owner that a process counts against. record is zero if the process's ProcessStart did not arrive.
	Owner func(pid uint32, record event.Process) Owner
	// Excluded reports whether pairs with this key are discarded.
	Excluded func(emitted string) bool
	// Identify returns the program that a process runs. record is zero if the process's ProcessStart did not arrive.
	// Results are compared with ==: the open trees of a process end when its program changes.
	Identify func(pid uint32, record event.Process) any
	// Finished receives each finished tree and each part that is shed. For a part, it returns one value per context; those
	// of the contexts that stay open are passed back when they finish: see [shape.Trait.Carry]. f and everything it refers
	// to are valid until Finished returns.
	Finished func(f *Finished) (carry []any)
}

// Finished is a tree that ended, or the part of a tree that was shed: see [Finished.Part].
type Finished struct {
	Process *Process
	TraceID trace.TraceID
	// Events is the number of probe hits of the tree, without those counted in its earlier parts.
	Events int
	// Part is set if the tree stays open and only its superseded contexts have ended. The contexts that stay open are
	// included as parents of the others, and have [shape.Trait.Open] set.
	Part bool
	// Link is the root of another tree that may be the same handshake; invalid if there is none.
	Link Link
	// Shape is what determines the tree's meaning.
	Shape shape.Shape
	// Contexts has the ids and times of the contexts, in the order of Shape.Traits.
	Contexts []Context
}

// Context is the part of a context that its shape leaves out: ids and times.
type Context struct {
	ID         uint64 // context id that the library emitted
	TID        uint32
	SpanID     trace.SpanID
	Start, End uint64 // boot time, ns
}

// Stats counts what the tracker did. Events is the sum of Sessions and of the events of all trees, open or finished.
type Stats struct {
	Events       uint64      // probe hits
	Sessions     uint64      // hits that report a session and belong to no context; included in Events
	Truncated    ClassCounts // hits with a key, value or array that was cut; included in Events
	Excluded     uint64      // pairs with an excluded key
	ForeignPairs uint64      // pairs for contexts that another file opened
	DroppedPairs ClassCounts // pairs over a context's limit of pairs
	Evictions    Evictions
	OpenContexts int
	OpenBytes    int
	OpenTrees    int
	Processes    int
	Owners       int // owners that have processes
}

// Tracker keeps the open contexts. It is not safe for concurrent use.
type Tracker struct {
	cfg           Config
	interner      interner
	processes     map[uint32]*Process
	newestProcess *Process // process that was looked up last, so that its next event finds it fast; nil if none
	shares        shares
	open          openTrees
	stats         Stats
	finished      Finished // argument of Config.Finished, whose memory is reused
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

// Reconfigure changes the idle timeout, and calls Excluded and Identify again for all known keys and processes.
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

// Handle processes one event. Events must be passed in the order in which they happened.
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

// countHit counts ev, unless it is from package wire and thus not a probe hit.
func (t *Tracker) countHit(th *thread, ev *event.Event) {
	if fromWire(ev) {
		return
	}
	t.stats.Events++
	if ev.Flags&(event.Cut|event.KeyCut) != 0 {
		t.stats.Truncated[th.process.owner.Class]++
	}
}

// never is a boot time that is not reached.
const never = math.MaxUint64

// Tick ends the trees that are idle at boot time now, in ns. All events up to that time must be handled before.
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

// Flush ends all trees. It is called when crau-otel stops.
func (t *Tracker) Flush() {
	for _, list := range []*treeList{&t.open.byIdle, &t.open.followed} {
		for tr := list.front; tr != nil; tr = list.front {
			if !t.open.joinLast(tr, never) {
				t.finish(tr, shape.EndShutdown)
			}
		}
	}
}
