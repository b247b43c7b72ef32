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
	attrs      []attribute.KeyValue
	spans      []span
	out        []sdktrace.ReadOnlySpan
	operations []Operation
	ends       []int // of the spans' attributes in attrs
	block      [aes.BlockSize]byte
}

// maxScratch bounds how many spans a tree may have for its memory to be kept, and how many attributes in tens.
const maxScratch = 1024

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
		n.judge(&m.judged) // those below go by it
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
	m.bytes -= n.size()
	if n.thread.open[n.ctx] == n {
		delete(n.thread.open, n.ctx)
	}
	m.recycle(n)
}

// size returns about how much memory the context's data takes, in bytes.
func (n *node) size() (bytes int) {
	for i := range n.data {
		bytes += n.data[i].size()
	}
	return bytes
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
		n.judge(&m.judged)
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

// spans makes the spans of judged nodes, leaving out those that the scopes hide. They are in the scratch memory.
func (m *Mapper) spans(t *tree, nodes []*node, why end) Tree {
	who := t.thread.proc.who
	sc := &m.scratch
	if cap(sc.spans) > maxScratch || cap(sc.attrs) > 10*maxScratch {
		sc.attrs, sc.spans, sc.out, sc.operations, sc.ends = nil, nil, nil, nil, nil
	}
	attrs := sc.attrs[:0]
	sc.spans, sc.out, sc.operations, sc.ends = sc.spans[:0], sc.out[:0], sc.operations[:0], sc.ends[:0]
	var downgraded, weak bool
	for _, n := range nodes {
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
		attrs = append(attrs, attrContextID.String(m.contextID(n)))
		sc.spans = append(sc.spans, span{})
		sp := &sc.spans[len(sc.spans)-1]
		m.fillSpan(sp, t, n)
		violations := m.cfg.Policy.Check(who.executable, sp.name, attrs[start:])
		if violations != nil {
			attrs = append(attrs, attrPolicyViolations.StringSlice(violations))
			sp.status = sdktrace.Status{Code: codes.Error, Description: "violates " + strings.Join(violations, ", ")}
		}
		if op, ok := n.operation(who.executable); ok || violations != nil {
			if !ok {
				op = Operation{Executable: who.executable}
			}
			op.Violations = violations
			sc.operations = append(sc.operations, op)
		}
		sc.ends = append(sc.ends, len(attrs))
		weak = weak || len(n.judgement.weak) > 0
		downgraded = downgraded || n.judgement.sum != nil && n.judgement.sum.downgraded
	}
	start := 0
	for i := range sc.spans {
		sc.spans[i].attributes = attrs[start:sc.ends[i]:sc.ends[i]]
		start = sc.ends[i]
		sc.out = append(sc.out, &sc.spans[i])
	}
	sc.attrs = attrs
	return Tree{Spans: sc.out, Operations: sc.operations, Downgraded: downgraded, Weak: weak}
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

// fillSpan makes sp the span of n but for its attributes and its status.
func (m *Mapper) fillSpan(sp *span, t *tree, n *node) {
	sp.name, sp.kind = n.spanName(), n.kind()
	sp.context = spanContext(t.trace, n.span)
	sp.start = m.cfg.Wall(n.start)
	sp.end = sp.start.Add(time.Duration(n.last - n.start))
	sp.dropped = n.dropped
	sp.resource, sp.scope = t.thread.proc.who.resource, &m.scope
	parent := n.parent
	for parent != nil && m.hides(parent) {
		parent = parent.parent
	}
	if parent != nil {
		sp.parent = spanContext(t.trace, parent.span)
	}
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
