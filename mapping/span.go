// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/instrumentation"
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

// shed gives the sink what was superseded in a tree that goes on.
func (m *Mapper) shed(t *tree) {
	var gone, kept []*node
	for _, n := range t.nodes {
		if n.superseded {
			gone = append(gone, n)
		} else {
			kept = append(kept, n)
		}
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
	n.tree = nil
}

// drop forgets a tree.
func (m *Mapper) drop(t *tree) {
	m.trees.Remove(t.age)
	delete(t.thread.proc.trees, t)
}

// give makes spans of nodes, parents before children, and gives them to the sink with the events not yet given.
func (m *Mapper) give(t *tree, nodes []*node, why end) {
	for _, n := range nodes {
		n.stretch()
		if n.parent != nil && n.parent.judgement.status == registry.NotApplicable {
			n.parent.judge() // of a tree that goes on, it may not have been judged yet
		}
		n.judge()
		n.notice()
	}
	for _, n := range nodes {
		n.fold()
	}
	for _, n := range slices.Backward(nodes) {
		m.conclude(n)
	}
	out := Tree{Spans: make([]sdktrace.ReadOnlySpan, 0, len(nodes)), Events: t.events}
	t.events = 0
	who := t.thread.proc.who
	for _, n := range nodes {
		if m.hides(n) {
			continue
		}
		span, violations := m.span(t, n, why)
		out.Spans = append(out.Spans, span)
		op, ok := n.operation(who.executable)
		if !ok && len(violations) > 0 {
			op, ok = Operation{Executable: who.executable}, true
		}
		if ok {
			op.Violations = violations
			out.Operations = append(out.Operations, op)
		}
	}
	if len(out.Spans) == 0 {
		m.stats.Hidden += uint64(out.Events)
		return
	}
	m.stats.Spans += uint64(len(out.Spans))
	m.cfg.Sink(out)
}

// conclude closes n's summary and hands it up to the root, if n has one.
func (m *Mapper) conclude(n *node) {
	s := n.judgement.sum
	if s == nil || n.superseded && n.parent == nil && n.tree.root() != n {
		return
	}
	s.conclude(n)
	if n.parent == nil {
		return
	}
	root := n
	for root.parent != nil {
		root = root.parent
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

func (m *Mapper) span(t *tree, n *node, why end) (sdktrace.ReadOnlySpan, []string) {
	// The snapshot of a stub is the SDK's public way to make a finished span; a tracer's own spans would cost a lock, a
	// dozen allocations and a pass through the sampler each.
	stub := tracetest.SpanStub{
		Name:        n.spanName(),
		SpanContext: spanContext(t.trace, n.span),
		SpanKind:    n.kind(),
		StartTime:   m.cfg.Wall(n.start),
		Attributes:  m.attributes(t, n, why),
		Resource:    t.thread.proc.who.resource,

		DroppedAttributes:    n.dropped,
		InstrumentationScope: instrumentation.Scope{Name: ScopeName, Version: m.cfg.ScopeVersion},
	}
	stub.EndTime = stub.StartTime.Add(time.Duration(n.last - n.start))
	parent := n.parent
	for parent != nil && m.hides(parent) {
		parent = parent.parent
	}
	if parent != nil {
		stub.Parent = spanContext(t.trace, parent.span)
	}
	violations := m.cfg.Policy.Check(t.thread.proc.who.executable, stub.Name, stub.Attributes)
	if violations != nil {
		stub.Attributes = append(stub.Attributes, attrPolicyViolations.StringSlice(violations))
		stub.Status = sdktrace.Status{Code: codes.Error, Description: "violates " + strings.Join(violations, ", ")}
	}
	return stub.Snapshot(), violations
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

func (m *Mapper) attributes(t *tree, n *node, why end) []attribute.KeyValue {
	attrs := make([]attribute.KeyValue, 0, 2*len(n.data)+8)
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
	return append(attrs, attrContextID.String(m.contextID(n.thread, n.ctx)), attrContextEnd.String(string(why)))
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
