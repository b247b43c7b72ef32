// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"crypto/aes"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/crau-otel/crau-otel/mapping/registry"
	"github.com/crau-otel/crau-otel/tracer/event"
)

// ScopeName is the instrumentation scope of every span.
const ScopeName = "github.com/crau-otel/crau-otel"

// unnamed is the span name of a context whose name never came.
const unnamed = "crypto.context"

// finish ends a tree and gives it to the sink.
func (m *Mapper) finish(t *tree, why end) {
	if why == endEvicted {
		m.stats.Evicted++
	}
	m.stats.Trees++
	m.give(t, t.nodes, why)
	t.leavePieces()
	for _, n := range t.nodes {
		m.close(n)
	}
	m.drop(t)
}

// scratch is memory that is used for one tree after the other.
type scratch struct {
	attrs []attribute.KeyValue
	stubs []tracetest.SpanStub
	ends  []int // of the stubs' attributes in attrs
	ids   []byte
	block [aes.BlockSize]byte
}

// shed gives the sink what was superseded in a tree that goes on.
func (m *Mapper) shed(t *tree) {
	var gone, kept []*node
	for _, n := range t.nodes {
		if n.superseded { // and so is all below it
			gone = append(gone, n)
		} else {
			kept = append(kept, n)
		}
	}
	for _, n := range kept {
		n.judge() // those below go by it
	}
	m.give(t, gone, endSuperseded)
	for _, n := range gone {
		if n.parent != nil && n.parent.child == n {
			n.parent.child = nil
		}
		m.close(n)
	}
	t.nodes = kept
}

// close forgets a context that was given to the sink.
func (m *Mapper) close(n *node) {
	m.contexts--
	if n.thread.open[n.ctx] == n {
		delete(n.thread.open, n.ctx)
	}
	m.recycle(n)
}

// drop forgets a tree whose nodes are elsewhere or closed.
func (m *Mapper) drop(t *tree) {
	m.trees.Remove(t.age)
	delete(t.thread.proc.trees, t)
	m.recycleTree(t)
}

// give makes spans of nodes, parents before children, and gives them to the sink with the events not yet given.
func (m *Mapper) give(t *tree, nodes []*node, why end) {
	for _, n := range nodes {
		n.stretch()
		n.judge()
		n.notice()
	}
	for _, n := range nodes {
		n.fold()
	}
	for _, n := range slices.Backward(nodes) {
		n.conclude()
	}
	events := t.events
	t.events = 0
	if out := m.spans(t, nodes, why); len(out.Spans) > 0 {
		out.Events = events
		m.stats.Spans += uint64(len(out.Spans))
		m.cfg.Sink(out)
	} else {
		m.stats.Hidden += uint64(events)
	}
}

// spans makes the spans of judged nodes, leaving out those that the scopes hide.
func (m *Mapper) spans(t *tree, nodes []*node, why end) Tree {
	who := t.thread.proc.who
	ids := m.contextIDs(nodes)
	attrs, stubs, ends := m.scratch.attrs[:0], m.scratch.stubs[:0], m.scratch.ends[:0]
	var operations []Operation
	var downgraded, weak bool
	for i, n := range nodes {
		if m.hides(n) {
			continue
		}
		start := len(attrs)
		attrs = n.appendAttributes(attrs, t, why)
		if m.cfg.Library != nil && (n.parent == nil || n.parent.file != n.file) {
			attrs = append(attrs, m.cfg.Library(n.file)...)
		}
		if n.parent == nil && t.thread.proc.record != (event.Process{}) {
			attrs = append(attrs, attrUserClass.String(userClass(t.thread.proc.record.UID)))
		}
		attrs = append(attrs, attrContextID.String(ids[i*contextIDLength:(i+1)*contextIDLength]))
		stub := m.stub(t, n)
		violations := m.cfg.Policy.Check(who.executable, stub.Name, attrs[start:])
		if violations != nil {
			attrs = append(attrs, attrPolicyViolations.StringSlice(violations))
			stub.Status = sdktrace.Status{Code: codes.Error, Description: "violates " + strings.Join(violations, ", ")}
		}
		if op, ok := n.operation(who.executable); ok || violations != nil {
			if !ok {
				op = Operation{Executable: who.executable}
			}
			op.Violations = violations
			if operations == nil {
				operations = make([]Operation, 0, len(nodes))
			}
			operations = append(operations, op)
		}
		stubs, ends = append(stubs, stub), append(ends, len(attrs))
		weak = weak || len(n.judgement.weak) > 0
		downgraded = downgraded || n.judgement.sum != nil && n.judgement.sum.downgraded
	}
	out := Tree{
		Spans: make([]sdktrace.ReadOnlySpan, len(stubs)), Operations: operations, Downgraded: downgraded, Weak: weak,
	}
	kept := slices.Clone(attrs)
	start := 0
	for i := range stubs {
		stubs[i].Attributes = kept[start:ends[i]:ends[i]]
		start = ends[i]
		// The snapshot of a stub is the SDK's public way to make a finished span; a tracer's own spans would cost a lock, a
		// dozen allocations and a pass through the sampler each.
		out.Spans[i] = stubs[i].Snapshot()
	}
	clear(attrs)
	clear(stubs)
	m.scratch.attrs, m.scratch.stubs, m.scratch.ends = attrs, stubs, ends
	return out
}

// conclude closes n's summary and hands it up to the root, if n has one.
func (n *node) conclude() {
	s := n.judgement.sum
	if s == nil {
		return
	}
	s.conclude(n)
	root := n.tree.root()
	if n == root {
		return
	}
	if root.judgement.sum == nil {
		root.judgement.sum = &summary{}
	}
	root.judgement.sum.absorb(s)
}

// stretch lets the contexts above n last at least as long as n.
func (n *node) stretch() {
	for p := n.parent; p != nil && p.last < n.last; p = p.parent {
		p.last = n.last
	}
}

// hides reports whether the configured scopes leave n out.
func (m *Mapper) hides(n *node) bool {
	if len(m.cfg.Scopes) == 0 {
		return false
	}
	scope, _, _ := strings.Cut(n.name, "::")
	return !slices.Contains(m.cfg.Scopes, scope)
}

// stub returns the span of n but for its attributes.
func (m *Mapper) stub(t *tree, n *node) tracetest.SpanStub {
	stub := tracetest.SpanStub{
		Name:        n.spanName(),
		SpanContext: spanContext(t.trace, n.span),
		SpanKind:    n.kind(),
		StartTime:   m.cfg.Wall(n.start),
		Resource:    t.thread.proc.who.resource,

		DroppedAttributes:    n.dropped,
		InstrumentationScope: m.scope,
	}
	stub.EndTime = stub.StartTime.Add(time.Duration(n.last - n.start))
	parent := n.parent
	for parent != nil && m.hides(parent) {
		parent = parent.parent
	}
	if parent != nil {
		stub.Parent = spanContext(t.trace, parent.span)
	}
	return stub
}

func (n *node) spanName() string {
	switch {
	case n.schema != nil:
		return n.schema.name
	case n.name != "":
		return n.name
	}
	return unnamed
}

func spanContext(traceID trace.TraceID, spanID trace.SpanID) trace.SpanContext {
	return trace.NewSpanContext(trace.SpanContextConfig{TraceID: traceID, SpanID: spanID, TraceFlags: trace.FlagsSampled})
}

// appendAttributes appends all that n has to tell but its id.
func (n *node) appendAttributes(attrs []attribute.KeyValue, t *tree, why end) []attribute.KeyValue {
	var cut, unreadable []string
	for i := range n.data {
		d := &n.data[i]
		if d.flag&event.Fault != 0 {
			unreadable = append(unreadable, d.key.attr)
			continue
		}
		if d.flag&(event.Cut|event.KeyCut) != 0 {
			cut = append(cut, d.key.attr)
		}
		attrs = d.appendTo(attrs)
	}
	attrs = n.appendJudgement(attrs)
	if n.name != "" && n.name != n.spanName() {
		attrs = append(attrs, attrContextName.String(n.name))
	}
	if n.parent == nil && t.join.pieces > 0 {
		attrs = append(attrs, attrHandshakeJoined.String(string(t.join.how)), attrHandshakePieces.Int(1+t.join.pieces))
	}
	if cut != nil {
		attrs = append(attrs, attrContextTruncated.StringSlice(cut))
	}
	if unreadable != nil {
		attrs = append(attrs, attrContextUnreadable.StringSlice(unreadable))
	}
	if n.incomplete {
		attrs = append(attrs, attrIncomplete.Bool(true))
	}
	if n.parentage != parentNone {
		attrs = append(attrs, attrContextParent.String(string(n.parentage)))
	}
	if n.superseded {
		why = endSuperseded
	}
	return append(attrs, attrContextEnd.String(string(why)))
}

// appendJudgement appends what the operation, and the handshake or root, amounts to.
func (n *node) appendJudgement(attrs []attribute.KeyValue) []attribute.KeyValue {
	j := &n.judgement
	if n.schema.handshake() && n.get(keyTLSRole) == nil && n.schema.role != "" {
		attrs = append(attrs, attrTLSRole.String(n.schema.role))
	}
	if n.class() == classTLSKeyExchange {
		attrs = append(attrs, attrTLSNegotiated.Bool(j.agreed))
	}
	if j.status != registry.NotApplicable {
		attrs = append(attrs, attrPQCStatus.String(j.status.String()))
	}
	if j.part != registry.NotApplicable {
		attrs = append(attrs, attrPQCPart.String(j.part.String()))
	}
	weak := j.weak
	if j.sum != nil {
		attrs = j.sum.appendTo(attrs, n)
		weak = j.sum.weak
	}
	if len(weak) > 0 {
		attrs = append(attrs, attrWeak.StringSlice(weak))
	}
	return attrs
}
