// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"slices"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/crau-otel/crau-otel/mapping/registry"
	"github.com/crau-otel/crau-otel/tracer/event"
)

// meaning is what contexts of a finished tree amount to but for their ids, their times and their program's resource.
type meaning struct {
	spans            []meant
	attrs            []attribute.KeyValue // of all spans, one after the other
	operations       []Operation          // without durations
	downgraded, weak bool
}

// meant is what a span will be.
type meant struct {
	name      string
	kind      trace.SpanKind
	status    sdktrace.Status
	dropped   int // attributes over the limit
	node      int // which of the contexts it is
	up        int // how many contexts higher its parent is, 0 if it has none
	end       int // of its attributes
	id        int // which of its attributes is the context's id
	operation int // which of the operations it is, -1: none
}

// mean judges nodes and says what they amount to, leaving out those that the scopes hide. The meaning is in the
// scratch memory.
func (m *Mapper) mean(t *tree, nodes []*node, why end) *meaning {
	for _, n := range nodes {
		n.judge(&m.judged)
		n.notice()
	}
	for _, n := range nodes {
		n.fold()
	}
	for _, n := range slices.Backward(nodes) {
		n.conclude()
	}
	to := &m.scratch.meaning
	if cap(to.spans) > maxScratch || cap(to.attrs) > 10*maxScratch {
		*to = meaning{}
	}
	*to = meaning{spans: to.spans[:0], attrs: to.attrs[:0], operations: to.operations[:0]}
	for i, n := range nodes {
		if !m.hides(n) {
			m.meanSpan(to, t, i, n, why)
		}
	}
	return to
}

// meanSpan adds a span to the meaning.
func (m *Mapper) meanSpan(to *meaning, t *tree, i int, n *node, why end) {
	start := len(to.attrs)
	attrs := n.appendAttributes(to.attrs, t, why)
	if m.cfg.Library != nil && (n.parent == nil || n.parent.file != n.file) {
		attrs = append(attrs, m.cfg.Library(n.file)...)
	}
	if class := t.userClass(); n.parent == nil && class != "" {
		attrs = append(attrs, attrUserClass.String(class))
	}
	sp := meant{name: n.spanName(), kind: n.kind(), dropped: n.dropped, node: i, id: len(attrs) - start, operation: -1}
	for up, parent := 1, n.parent; parent != nil; up, parent = up+1, parent.parent {
		if !m.hides(parent) {
			sp.up = up
			break
		}
	}
	attrs = append(attrs, attribute.KeyValue{Key: attrContextID})
	executable := t.thread.proc.who.executable
	violations := m.cfg.Policy.Check(executable, sp.name, attrs[start:])
	if violations != nil {
		attrs = append(attrs, attrPolicyViolations.StringSlice(violations))
		sp.status = sdktrace.Status{Code: codes.Error, Description: "violates " + strings.Join(violations, ", ")}
	}
	if op, ok := n.operation(executable); ok || violations != nil {
		if !ok {
			op = Operation{Executable: executable}
		}
		op.Violations = violations
		sp.operation = len(to.operations)
		to.operations = append(to.operations, op)
	}
	sp.end = len(attrs)
	to.spans, to.attrs = append(to.spans, sp), attrs
	to.weak = to.weak || len(n.judgement.weak) > 0
	to.downgraded = to.downgraded || n.judgement.sum != nil && n.judgement.sum.downgraded
}

// userClass returns the class of the user that the tree's process runs as, "" if it was not told.
func (t *tree) userClass() string {
	if t.thread.proc.record == (event.Process{}) {
		return ""
	}
	return userClass(t.thread.proc.record.UID)
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

// hides reports whether the configured scopes leave n out.
func (m *Mapper) hides(n *node) bool {
	if len(m.cfg.Scopes) == 0 {
		return false
	}
	scope, _, _ := strings.Cut(n.name, "::")
	return !slices.Contains(m.cfg.Scopes, scope)
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
