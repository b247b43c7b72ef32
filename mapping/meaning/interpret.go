// SPDX-License-Identifier: Apache-2.0

package meaning

import (
	"slices"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/crau-otel/crau-otel/mapping/schema"
	"github.com/crau-otel/crau-otel/mapping/shape"
)

// scratch is memory that is reused from one shape to the next.
type scratch struct {
	contexts []context
	meaning  Meaning
}

// maxScratch is the maximum number of contexts for which scratch keeps its memory; the maximum for attributes is ten
// times as high. After a larger tree, load allocates new memory.
const maxScratch = 1024

// carry is the judgement so far of a context that stays open while contexts below it are shed. It is immutable.
type carry struct {
	judgement judgement
}

// interpret computes the meaning of a shape. The result is stored in in.scratch and is valid until the next call.
func (in *Interpreter) interpret(s *shape.Shape) *Meaning {
	contexts := in.scratch.load(s)
	for i := range contexts {
		in.place(&contexts[i])
		contexts[i].judge(&in.judged)
	}
	for i := range contexts {
		if c := &contexts[i]; !c.Open {
			c.reportUpwards()
			in.judgeTrust(&contexts[0], c)
		}
	}
	for i := range contexts {
		if c := &contexts[i]; !c.Open {
			c.summarize()
		}
	}
	for i := len(contexts) - 1; i >= 0; i-- {
		if c := &contexts[i]; !c.Open {
			c.conclude(s.Head.End == shape.EndEvicted)
		}
	}
	m := &in.scratch.meaning
	for i := range contexts {
		c := &contexts[i]
		switch {
		case c.Open:
			m.keep(i, len(contexts), c)
		case !in.hides(c):
			in.addSpan(m, &s.Head, i, c)
		}
	}
	return m
}

// load returns the contexts of a shape, in the memory of sc, and clears sc.meaning.
func (sc *scratch) load(s *shape.Shape) []context {
	m := &sc.meaning
	if cap(sc.contexts) > maxScratch || cap(m.Attributes) > 10*maxScratch {
		*sc = scratch{}
	}
	clear(sc.contexts)
	*m = Meaning{Spans: m.Spans[:0], Attributes: m.Attributes[:0], Operations: m.Operations[:0]}
	sc.contexts = slices.Grow(sc.contexts[:0], len(s.Traits))[:len(s.Traits)]
	data := s.Data
	for i := range s.Traits {
		t, c := &s.Traits[i], &sc.contexts[i]
		*c = context{Trait: t, data: data[:t.Data]}
		data = data[t.Data:]
		if t.Parent >= 0 {
			c.parent = &sc.contexts[t.Parent]
		}
		if earlier, ok := t.Carry.(*carry); ok {
			c.judgement = earlier.judgement.clone()
		}
	}
	return sc.contexts
}

// keep stores the judgement of context i of n, which stays open, in m.Carry.
func (m *Meaning) keep(i, n int, c *context) {
	if m.Carry == nil {
		m.Carry = make([]any, n)
	}
	m.Carry[i] = &carry{c.judgement.clone()}
}

// addSpan adds the span of c, the context with index i, to m, with its attributes and operation.
func (in *Interpreter) addSpan(m *Meaning, head *shape.Head, i int, c *context) {
	start := len(m.Attributes)
	attrs := c.appendAttributes(m.Attributes, head)
	if in.rules.Library != nil && (c.parent == nil || c.parent.File != c.File) {
		attrs = append(attrs, in.rules.Library(c.File)...)
	}
	attrs = in.appendTrust(attrs, c)
	if c.parent == nil {
		attrs = c.appendSource(attrs, head)
	}
	if c.parent == nil {
		attrs = appendProcess(attrs, head)
	}
	span := Span{
		Name: c.spanName(), Kind: c.kind(), Dropped: int(c.Dropped), Context: i, Parent: in.parentSpan(c),
		ContextID: len(attrs) - start, Operation: -1,
	}
	failure, side := c.failure()
	if failure != "" {
		span.Status = sdktrace.Status{Code: codes.Error, Description: failed(failure, side)}
	}
	attrs = append(attrs, attribute.KeyValue{Key: schema.AttrContextID})
	violations := in.rules.Policy.Check(head.Executable, span.Name, attrs[start:])
	if violations != nil {
		attrs = append(attrs, schema.AttrPolicyViolations.StringSlice(violations))
		span.Status.Code = codes.Error
		if failure != "" {
			span.Status.Description += "; "
		}
		span.Status.Description += "violates " + strings.Join(violations, ", ")
	}
	if op, ok := c.operation(head.Executable); ok || violations != nil {
		if !ok {
			op = Operation{Executable: head.Executable}
		}
		op.Violations, op.Library = violations, in.fileTrust(c)
		span.Operation = len(m.Operations)
		m.Operations = append(m.Operations, op)
	}
	if limit := in.rules.MaxValueLength; limit != nil {
		cutValues(attrs[start:], *limit)
	}
	span.AttributesEnd = len(attrs)
	m.Spans, m.Attributes = append(m.Spans, span), attrs
	m.Reserved += c.reserved
	m.Weak = m.Weak || len(c.judgement.weak) > 0
	m.Downgraded = m.Downgraded || c.judgement.summary != nil && c.judgement.summary.downgraded
	m.Failed = m.Failed || span.Status.Code == codes.Error
	m.Violates = m.Violates || violations != nil
}

// hides reports whether the configured scopes exclude c.
func (in *Interpreter) hides(c *context) bool {
	if len(in.rules.Scopes) == 0 {
		return false
	}
	scope, _, _ := strings.Cut(c.Name.Text, "::")
	return !slices.Contains(in.rules.Scopes, scope)
}

// parentSpan returns the index of the nearest context above c that the configured scopes do not hide, or -1.
func (in *Interpreter) parentSpan(c *context) int {
	parent := c.Parent
	for p := c.parent; p != nil && in.hides(p); p = p.parent {
		parent = p.Parent
	}
	return int(parent)
}
