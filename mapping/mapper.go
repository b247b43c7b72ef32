// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	sdkresource "go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/crau-otel/crau-otel/mapping/contexts"
	"github.com/crau-otel/crau-otel/mapping/meaning"
	"github.com/crau-otel/crau-otel/mapping/schema"
	"github.com/crau-otel/crau-otel/mapping/text"
	"github.com/crau-otel/crau-otel/tracer/event"
)

// ScopeName is the instrumentation scope of every span.
const ScopeName = "github.com/crau-otel/crau-otel"

// Config configures a [Mapper]. The zero value of a field means its default.
type Config struct {
	// Rules can be changed later: see [Mapper.Reconfigure].
	Rules Rules
	// MaxOpenContexts bounds the contexts of all open trees. Over this limit or MaxOpenBytes, the owner that uses the
	// largest part of either loses its tree that has been idle longest. Default 65536.
	MaxOpenContexts int
	// MaxOpenBytes bounds the memory of the keys and values of all open trees, in bytes. Default 16 MiB.
	MaxOpenBytes int
	// MaxTreeSpans bounds the contexts of one open tree. A full tree first passes its superseded contexts to the sink. If
	// they are too few, the tree is evicted and the next context starts a new one. Default 4096.
	MaxTreeSpans int
	// MaxProcesses bounds the processes that the mapper remembers. Over the limit, the owner with the most processes loses
	// the one that has been silent longest. Default 8192.
	MaxProcesses int
	// Resource has the attributes that the resources of all observed programs contain; default none.
	Resource *sdkresource.Resource
	// ScopeVersion is the version of the instrumentation scope.
	ScopeVersion string
	// Instance identifies this run of the agent; it becomes an attribute of the scope. Default none.
	Instance string
	// Wall turns a boot time in ns into wall-clock time. Required.
	Wall func(boot uint64) time.Time
	// Library, if set, returns the attributes of a file by its file number, nil if the file is unknown. If they change,
	// [Mapper.LibrariesChanged] must be called.
	Library func(file uint32) []attribute.KeyValue
	// Owner returns the owner that a process counts against. record is zero if the process's ProcessStart did not arrive.
	// Default [contexts.OwnerByUser].
	Owner func(pid uint32, record event.Process) Owner
	// Code returns what is known about the code that a process of root or of a service executes. owner is the ID of the
	// process's owner. Code is called when trees finish, at most once a second for each process. Default: [CodeUnknown].
	Code func(pid uint32, record event.Process, owner string) Code
	// Whole reports whether the sink gets all spans of t or only the root. It is called for each tree of several spans;
	// t.Spans contains only the root. Default: all spans.
	Whole func(t Tree) bool
	// Sink receives each finished tree. It is called by the mapper's methods, on the caller's goroutine. Required.
	Sink func(Tree)
	// Log receives warnings. Default: they are discarded.
	Log *slog.Logger
}

// Mapper turns events into trees. It is not safe for concurrent use.
type Mapper struct {
	cfg        Config
	tracker    *contexts.Tracker
	meanings   *meaning.Interpreter
	identities map[attribute.Distinct]*identity
	ids        contextIDs
	scope      instrumentation.Scope
	stats      Stats // counters of the mapper; Mapper.Stats adds the tracker's
	scratch    scratch
}

// Stats counts what the mapper did. Events is the sum of Sessions, of Hidden, and of the events of all trees that are
// open or were passed to the sink.
type Stats struct {
	Events            uint64               // probe hits
	Sessions          uint64               // hits that report a session and make no span; included in Events
	Hidden            uint64               // hits of trees that Rules.Scopes excludes; included in Events
	ForeignPairs      uint64               // pairs for contexts that another file opened: they become crypto.foreign.*
	ExcludedPairs     uint64               // pairs whose key the rules exclude
	ReservedKeys      uint64               // pairs whose attribute name is reserved: they become crypto.emitted.*
	Spans             uint64               // spans passed to the sink
	Trees             uint64               // trees that ended
	Evicted           uint64               // trees that were evicted
	Evictions         contexts.Evictions   // Evicted by limit and class of owner
	DroppedAttributes contexts.ClassCounts // attributes dropped over a span's limit, by class of owner
	Truncated         contexts.ClassCounts // hits with a key, value or array that was cut, by class of owner
	OpenContexts      int                  // contexts in open trees now
	OpenBytes         int                  // bytes of keys and values in open trees now
	OpenTrees         int                  // open trees now
	Processes         int                  // processes known now
	Owners            int                  // owners that have processes now
}

// New returns a mapper without open trees.
func New(cfg Config) (*Mapper, error) {
	if cfg.Wall == nil || cfg.Sink == nil {
		return nil, errors.New("mapping: Wall and Sink are required")
	}
	setDefault(&cfg.Rules.IdleTimeout, defaultIdleTimeout)
	setDefault(&cfg.MaxOpenContexts, 1<<16)
	setDefault(&cfg.MaxOpenBytes, 16<<20)
	setDefault(&cfg.MaxTreeSpans, 4096)
	setDefault(&cfg.MaxProcesses, 8192)
	if cfg.Owner == nil {
		cfg.Owner = contexts.OwnerByUser
	}
	if cfg.Code == nil {
		cfg.Code = func(uint32, event.Process, string) Code { return CodeUnknown }
	}
	setDefault(&cfg.Resource, sdkresource.Empty())
	setDefault(&cfg.Log, slog.New(slog.DiscardHandler))
	cfg.Resource = sdkresource.NewWithAttributes(cfg.Resource.SchemaURL(), text.Attributes(cfg.Resource.Attributes())...)
	if library := cfg.Library; library != nil {
		cfg.Library = func(file uint32) []attribute.KeyValue { return text.Attributes(library(file)) }
	}
	ids, err := newContextIDs()
	if err != nil {
		return nil, fmt.Errorf("make context id key: %w", err)
	}
	scope := instrumentation.Scope{Name: ScopeName, Version: cfg.ScopeVersion}
	if cfg.Instance != "" {
		scope.Attributes = attribute.NewSet(schema.AttrInstance.String(cfg.Instance))
	}
	m := &Mapper{
		cfg:        cfg,
		identities: make(map[attribute.Distinct]*identity),
		ids:        ids,
		scope:      scope,
	}
	m.meanings = meaning.New(m.meaningRules())
	m.tracker = contexts.New(contexts.Config{
		IdleTimeout:     cfg.Rules.IdleTimeout,
		MaxContexts:     cfg.MaxOpenContexts,
		MaxBytes:        cfg.MaxOpenBytes,
		MaxTreeContexts: cfg.MaxTreeSpans,
		MaxPairs:        sdktrace.NewSpanLimits().AttributeCountLimit,
		MaxProcesses:    cfg.MaxProcesses,
		Owner:           cfg.Owner,
		Excluded:        func(emitted string) bool { return m.cfg.Rules.excludes(emitted) },
		Identify:        func(pid uint32, record event.Process) any { return m.identify(pid, record) },
		Finished:        m.finished,
	})
	return m, nil
}

func (m *Mapper) meaningRules() meaning.Rules {
	rules := meaning.Rules{Scopes: m.cfg.Rules.Scopes, Policy: m.cfg.Rules.Policy, Library: m.cfg.Library}
	if limit := sdktrace.NewSpanLimits().AttributeValueLengthLimit; limit >= 0 {
		rules.MaxValueLength = &limit
	}
	return rules
}

// Reconfigure replaces the rules, also for open trees and known processes.
func (m *Mapper) Reconfigure(rules Rules) {
	setDefault(&rules.IdleTimeout, defaultIdleTimeout)
	m.cfg.Rules = rules
	m.meanings.SetRules(m.meaningRules())
	clear(m.identities)
	m.tracker.Reconfigure(rules.IdleTimeout)
}

// LibrariesChanged must be called after [Config.Library] changed its answer about a file.
func (m *Mapper) LibrariesChanged() { m.meanings.SetRules(m.meaningRules()) }

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Stats returns the counters.
func (m *Mapper) Stats() Stats {
	s, tracked := m.stats, m.tracker.Stats()
	s.Events, s.Sessions, s.ExcludedPairs = tracked.Events, tracked.Sessions, tracked.Excluded
	s.ForeignPairs = tracked.ForeignPairs
	s.Evicted, s.Evictions, s.DroppedAttributes = tracked.Evictions.Total(), tracked.Evictions, tracked.DroppedPairs
	s.Truncated = tracked.Truncated
	s.OpenContexts, s.OpenBytes, s.OpenTrees = tracked.OpenContexts, tracked.OpenBytes, tracked.OpenTrees
	s.Processes, s.Owners = tracked.Processes, tracked.Owners
	return s
}

// Handle processes one event. Events must be passed in the order in which they happened.
func (m *Mapper) Handle(ev *event.Event) { m.tracker.Handle(ev) }

// Tick ends the trees that are idle at boot time now, in ns. All events up to that time must be handled before.
func (m *Mapper) Tick(now uint64) { m.tracker.Tick(now) }

// Flush ends all trees. It is called when crau-otel stops.
func (m *Mapper) Flush() { m.tracker.Flush() }

// finished interprets a finished tree and passes it to the sink, unless all of its spans are hidden.
func (m *Mapper) finished(f *contexts.Finished) (carry []any) {
	program := f.Process.Program.(*identity)
	f.Shape.Head.Executable = program.executable
	f.Shape.Head.UserClass = userClass(f.Process.Record)
	f.Shape.Head.Owner, f.Shape.Head.Trust = f.Process.Owner().Class.String(), m.trust(f.Process, f.Contexts[0].End)
	result := m.meanings.Meaning(&f.Shape)
	m.stats.ReservedKeys += uint64(result.Reserved)
	if !f.Part {
		m.stats.Trees++
	}
	if len(result.Spans) == 0 {
		m.stats.Hidden += uint64(f.Events)
		return result.Carry
	}
	tree := m.tree(f, result, program)
	m.stats.Spans += uint64(len(tree.Spans))
	m.cfg.Sink(tree)
	return result.Carry
}
