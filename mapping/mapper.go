// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"cmp"
	"container/list"
	"crypto/cipher"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	sdkresource "go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/crau-otel/crau-otel/mapping/policy"
	"github.com/crau-otel/crau-otel/tracer/event"
)

// Config says how to map. The zero value of a field means its default.
type Config struct {
	// IdleTimeout is how long a tree may be without an event before it ends; default 2 s.
	IdleTimeout time.Duration
	// MaxOpenContexts bounds the contexts of all unfinished trees; past it the tree that is idle longest is evicted.
	// Default 65536.
	MaxOpenContexts int
	// MaxOpenBytes bounds the memory of the keys and values of all unfinished trees; past it the tree that is idle longest
	// is evicted. Default 16 MiB.
	MaxOpenBytes int
	// MaxTreeSpans bounds one tree: a context past it starts a new tree. Default 4096.
	MaxTreeSpans int
	// MaxProcesses bounds the remembered processes; past it the one that is quiet longest is evicted. Default 8192.
	MaxProcesses int
	// Resource is what the resources of all observed programs have in common; default empty.
	Resource *sdkresource.Resource
	// ScopeVersion is the version of the instrumentation scope.
	ScopeVersion string
	// Instance tells this run of the agent from others, as an attribute of the scope; default none.
	Instance string
	// Wall turns a boot time in ns into wall-clock time. Required.
	Wall func(boot uint64) time.Time
	// Scopes, if any, are the only scopes of contexts and keys that spans are made of: tls, ssh, pk and the like.
	Scopes []string
	// AllowKeys and DenyKeys are patterns in the syntax of [path.Match] for event keys. A key that is denied, or not
	// allowed while there are patterns that allow, is left out. Patterns must be valid.
	AllowKeys, DenyKeys []string
	// Policy says what is a violation; default: nothing.
	Policy *policy.Policy
	// Describe, if any, returns further resource attributes of a process, of which the kernel recorded p; they overrule
	// those that the mapper would give.
	Describe func(pid uint32, p event.Process) []attribute.KeyValue
	// Library, if any, returns what to say of a file by the number that events give; nil if it is not known.
	Library func(file uint32) []attribute.KeyValue
	// Sink takes each finished tree, on the goroutine that feeds the mapper. Required.
	Sink func(Tree)
	// Log takes warnings; default none.
	Log *slog.Logger
}

// Mapper makes trees of events. It is fed from one goroutine.
type Mapper struct {
	cfg       Config
	limits    sdktrace.SpanLimits
	block     cipher.Block // encrypts context ids
	ids       [recentIDs]contextID
	in        interner
	procs     map[uint32]*process
	latest    *process   // one of procs: that spoke last; nil if unknown
	processes *list.List // of *process, quiet longest first
	trees     *list.List // of *tree, idle longest first
	contexts  int        // open contexts in all trees
	bytes     int        // of the data of these
	who       map[attribute.Distinct]*identity
	stats     Stats

	scope instrumentation.Scope

	pool
	patterns patterns
	scratch  scratch
	judged   judged
}

// Stats counts what the mapper did. Events is the sum of the events of all trees given to the sink, of those still
// open, of Sessions and of Hidden.
type Stats struct {
	Events            uint64 // probe hits taken
	Sessions          uint64 // of those, hits that name a session and make no span
	Hidden            uint64 // of those, hits of trees that the configured scopes leave out
	LeftOut           uint64 // pairs whose key the configuration leaves out
	Spans             uint64 // spans given to the sink
	Trees             uint64 // trees given to the sink
	Evicted           uint64 // trees ended early since a limit was reached
	DroppedAttributes uint64 // attributes over the limit of a span
	OpenContexts      int    // contexts in unfinished trees now
	OpenTrees         int    // unfinished trees now
	Processes         int    // processes known now
}

const defaultIdleTimeout = 2 * time.Second

// New returns a mapper that has seen nothing.
func New(cfg Config) (*Mapper, error) {
	if cfg.Wall == nil || cfg.Sink == nil {
		return nil, errors.New("mapping: Wall and Sink are required")
	}
	setDefault(&cfg.IdleTimeout, defaultIdleTimeout)
	setDefault(&cfg.MaxOpenContexts, 1<<16)
	setDefault(&cfg.MaxOpenBytes, 16<<20)
	setDefault(&cfg.MaxTreeSpans, 4096)
	setDefault(&cfg.MaxProcesses, 8192)
	setDefault(&cfg.Resource, sdkresource.Empty())
	setDefault(&cfg.Log, slog.New(slog.DiscardHandler))
	block, err := newContextCipher()
	if err != nil {
		return nil, fmt.Errorf("make context id key: %w", err)
	}
	scope := instrumentation.Scope{Name: ScopeName, Version: cfg.ScopeVersion}
	if cfg.Instance != "" {
		scope.Attributes = attribute.NewSet(attrInstance.String(cfg.Instance))
	}
	m := &Mapper{
		cfg:       cfg,
		limits:    sdktrace.NewSpanLimits(),
		block:     block,
		procs:     make(map[uint32]*process),
		processes: list.New(),
		trees:     list.New(),
		who:       make(map[attribute.Distinct]*identity),
		scope:     scope,
		patterns:  patterns{seed: maphash.MakeSeed()},
	}
	m.in = newInterner(m.cfg.leavesOut)
	return m, nil
}

// Reconfigure makes IdleTimeout, Scopes, AllowKeys, DenyKeys, Policy and Describe those of cfg, also for trees that are
// open and for known processes. Call it from the goroutine that feeds the mapper.
func (m *Mapper) Reconfigure(cfg Config) {
	setDefault(&cfg.IdleTimeout, defaultIdleTimeout)
	m.cfg.IdleTimeout, m.cfg.Policy, m.cfg.Describe = cfg.IdleTimeout, cfg.Policy, cfg.Describe
	m.cfg.Scopes, m.cfg.AllowKeys, m.cfg.DenyKeys = cfg.Scopes, cfg.AllowKeys, cfg.DenyKeys
	m.in.reconsider()
	m.patterns.forget()
	clear(m.who)
	for _, p := range m.procs {
		p.who = m.identity(p.pid, p.record)
	}
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// leavesOut reports whether an event key is to be left out.
func (c *Config) leavesOut(emitted string) bool {
	// Event keys are no paths: a * is to match a slash, too.
	flat := strings.ReplaceAll(emitted, "/", "\x00")
	matches := func(pattern string) bool {
		ok, err := path.Match(strings.ReplaceAll(pattern, "/", "\x00"), flat)
		return ok && err == nil
	}
	if slices.ContainsFunc(c.DenyKeys, matches) || len(c.AllowKeys) > 0 && !slices.ContainsFunc(c.AllowKeys, matches) {
		return true
	}
	if len(c.Scopes) == 0 {
		return false
	}
	scope, _, scoped := strings.Cut(emitted, "::")
	return scoped && !slices.Contains(c.Scopes, scope)
}

// Stats returns the counters. Call it from the goroutine that feeds the mapper.
func (m *Mapper) Stats() Stats {
	s := m.stats
	s.OpenContexts, s.OpenTrees, s.Processes = m.contexts, m.trees.Len(), len(m.procs)
	return s
}

// Handle takes one event.
func (m *Mapper) Handle(ev *event.Event) {
	if p := m.known(ev.PID); p != nil && ev.Lost != p.lost {
		p.missed(ev.Lost)
	}
	switch ev.Kind {
	case event.ProcessStart:
		m.processStart(ev)
	case event.ProcessExit:
		if p := m.known(ev.PID); p != nil {
			m.forget(p, endExit)
		}
	case event.SessionEnter, event.SessionLeave:
		m.stats.Events++
		m.stats.Sessions++
		m.session(m.thread(ev), ev)
	case event.NewContext:
		m.stats.Events++
		m.newContext(m.thread(ev), ev)
	case event.Data:
		m.stats.Events++
		m.data(m.thread(ev), ev)
	}
}

// Tick says that every event up to boot time now (ns) was handled: trees that are idle by then end.
func (m *Mapper) Tick(now uint64) {
	idle := uint64(m.cfg.IdleTimeout)
	for e := m.trees.Front(); e != nil; e = m.trees.Front() {
		t := e.Value.(*tree)
		if t.last+idle > now {
			return
		}
		if m.joinLast(t) {
			continue
		}
		on := t.thread
		m.finish(t, endIdle)
		m.forgetThread(on)
	}
}

// Flush ends every tree since crau-otel stops.
func (m *Mapper) Flush() {
	for e := m.trees.Front(); e != nil; e = m.trees.Front() {
		if t := e.Value.(*tree); !m.joinLast(t) {
			m.finish(t, endShutdown)
		}
	}
}

// processStart learns who a process is, or became by an exec.
func (m *Mapper) processStart(ev *event.Event) {
	p := m.process(ev.PID)
	if p.record.Runs(ev.Process) {
		return // the kernel had forgotten it
	}
	p.record = ev.Process
	who := m.identity(ev.PID, ev.Process)
	if p.who != who {
		m.finishAll(p, endExit)
		p.who = who
	}
}

// known returns a process that has said something before, nil if it has not.
func (m *Mapper) known(pid uint32) *process {
	if p := m.latest; p != nil && p.pid == pid {
		return p
	}
	p := m.procs[pid]
	if p != nil {
		m.latest = p
	}
	return p
}

func (m *Mapper) process(pid uint32) *process {
	if p := m.known(pid); p != nil {
		m.processes.MoveToBack(p.age)
		return p
	}
	if len(m.procs) >= m.cfg.MaxProcesses {
		m.forget(m.processes.Front().Value.(*process), endEvicted)
	}
	p := &process{pid: pid, threads: make(map[uint32]*thread), trees: make(map[*tree]struct{}), sessions: make(map[uint64]*tree)}
	p.who = m.identity(pid, event.Process{})
	p.age = m.processes.PushBack(p)
	m.procs[pid] = p
	return p
}

func (m *Mapper) forget(p *process, why end) {
	m.finishAll(p, why)
	m.processes.Remove(p.age)
	delete(m.procs, p.pid)
	if m.latest == p {
		m.latest = nil
	}
}

// forgetThread drops a thread that has nothing open, since the kernel tells no thread's exit.
func (m *Mapper) forgetThread(t *thread) {
	if len(t.open) == 0 {
		delete(t.proc.threads, t.id)
		if t.proc.latest == t {
			t.proc.latest = nil
		}
	}
}

// makeRoom evicts the trees that are idle longest until so many more contexts may open on the thread, and data may come.
func (m *Mapper) makeRoom(on *thread, more int) {
	for m.contexts+more > m.cfg.MaxOpenContexts || m.bytes > m.cfg.MaxOpenBytes {
		t := m.trees.Front().Value.(*tree)
		evicted := t.thread
		m.finish(t, endEvicted)
		if evicted != on {
			m.forgetThread(evicted)
		}
	}
}

func (m *Mapper) finishAll(p *process, why end) {
	for t := range p.trees {
		m.joinLast(t)
	}
	left := slices.SortedFunc(maps.Keys(p.trees), func(a, b *tree) int { return cmp.Compare(a.root().start, b.root().start) })
	for _, t := range left {
		m.finish(t, why)
	}
}

func (m *Mapper) thread(ev *event.Event) *thread {
	p := m.process(ev.PID)
	if t := p.latest; t != nil && t.id == ev.TID {
		return t
	}
	t, ok := p.threads[ev.TID]
	if !ok {
		t = &thread{id: ev.TID, proc: p, open: make(map[uint64]*node), pieces: make(map[uint64][]*tree)}
		p.threads[ev.TID] = t
	}
	p.latest = t
	return t
}
