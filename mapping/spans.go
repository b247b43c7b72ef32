// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"slices"
	"time"

	"go.opentelemetry.io/otel/attribute"

	"github.com/crau-otel/crau-otel/mapping/contexts"
	"github.com/crau-otel/crau-otel/mapping/meaning"
)

// scratch is memory for the slices of a [Tree], reused for the next tree.
type scratch struct {
	spans      []Span
	operations []Operation
}

// maxScratch is the largest capacity of scratch.spans that is kept for the next tree.
const maxScratch = 1024

// tree combines a tree's meaning with its ids, times and resource. The result's slices are valid until the next call.
func (m *Mapper) tree(f *contexts.Finished, result *meaning.Meaning, program *identity) Tree {
	sc := &m.scratch
	if cap(sc.spans) > maxScratch {
		*sc = scratch{}
	}
	sc.operations = append(sc.operations[:0], result.Operations...)
	for i := range result.Spans {
		span := &result.Spans[i]
		if op := span.Operation; op >= 0 && sc.operations[op].Handshake {
			c := &f.Contexts[span.Context]
			sc.operations[op].Duration = time.Duration(c.End - c.Start)
		}
	}
	n := len(result.Spans)
	sc.spans = slices.Grow(sc.spans[:0], n)[:n]
	m.fill(0, 1, f, result)
	t := Tree{
		Resource:   program.resource,
		Scope:      m.scope,
		Owner:      f.Process.Owner(),
		Trust:      f.Shape.Head.Trust,
		Spans:      sc.spans[:1],
		Events:     f.Events,
		Operations: sc.operations,
		Downgraded: result.Downgraded,
		Weak:       result.Weak,
		Failed:     result.Failed,
		Violates:   result.Violates,
	}
	if n > 1 && (m.cfg.Whole == nil || m.cfg.Whole(t)) {
		m.fill(1, n, f, result)
		t.Spans = sc.spans
	}
	return t
}

// fill fills in scratch.spans from index from to index to, exclusive.
func (m *Mapper) fill(from, to int, f *contexts.Finished, result *meaning.Meaning) {
	shared := result.Template != 0 // other trees with this meaning share the attributes, so they must not be changed
	start := 0
	if from > 0 {
		start = result.Spans[from-1].AttributesEnd
	}
	for i := from; i < to; i++ {
		span := &result.Spans[i]
		c := &f.Contexts[span.Context]
		attrs := result.Attributes[start:span.AttributesEnd:span.AttributesEnd]
		start = span.AttributesEnd
		id := m.ids.id(f.Process.PID, c)
		if !shared {
			attrs[span.ContextID].Value = attribute.StringValue(id)
		}
		begin := m.cfg.Wall(c.Start)
		finished := &m.scratch.spans[i]
		*finished = Span{
			Name:              span.Name,
			Kind:              span.Kind,
			TraceID:           f.TraceID,
			SpanID:            c.SpanID,
			Start:             begin,
			End:               begin.Add(time.Duration(c.End - c.Start)),
			Status:            span.Status,
			DroppedAttributes: span.Dropped,
			attributes:        attrs,
			shared:            shared,
			contextAt:         span.ContextID,
			contextID:         id,
		}
		if span.Parent >= 0 {
			finished.ParentID = f.Contexts[span.Parent].SpanID
		}
		if i == 0 && f.Link.IsValid() {
			finished.Link = f.Link
		} else if shared {
			finished.pattern = result.Template + uint64(i)
		}
	}
}
