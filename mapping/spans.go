// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"slices"
	"time"

	"go.opentelemetry.io/otel/attribute"

	"github.com/crau-otel/crau-otel/mapping/contexts"
	"github.com/crau-otel/crau-otel/mapping/meaning"
)

// scratch is memory that each tree reuses.
type scratch struct {
	spans      []Span
	operations []Operation
}

// maxScratch is the largest number of spans of a tree whose memory is reused.
const maxScratch = 1024

// tree combines a tree's meaning with its ids, times and resource. It is in the scratch memory.
func (m *Mapper) tree(f *contexts.Finished, meant *meaning.Meaning, program *identity) Tree {
	sc := &m.scratch
	if cap(sc.spans) > maxScratch {
		*sc = scratch{}
	}
	shared := meant.Template != 0 // by all trees of that meaning: the attributes must not be changed
	sc.operations = append(sc.operations[:0], meant.Operations...)
	sc.spans = slices.Grow(sc.spans[:0], len(meant.Spans))
	start := 0
	for i := range meant.Spans {
		span := &meant.Spans[i]
		c := &f.Contexts[span.Context]
		attrs := meant.Attributes[start:span.AttributesEnd:span.AttributesEnd]
		start = span.AttributesEnd
		id := m.ids.id(f.Process.PID, c)
		if !shared {
			attrs[span.ContextID].Value = attribute.StringValue(id)
		}
		begin, duration := m.cfg.Wall(c.Start), time.Duration(c.End-c.Start)
		sc.spans = append(sc.spans, Span{
			Name:              span.Name,
			Kind:              span.Kind,
			TraceID:           f.TraceID,
			SpanID:            c.SpanID,
			Start:             begin,
			End:               begin.Add(duration),
			Status:            span.Status,
			DroppedAttributes: span.Dropped,
			attributes:        attrs,
			shared:            shared,
			contextAt:         span.ContextID,
			contextID:         id,
		})
		finished := &sc.spans[i]
		if span.Parent >= 0 {
			finished.ParentID = f.Contexts[span.Parent].SpanID
		}
		if i == 0 && f.Link.IsValid() {
			finished.Link = f.Link
		} else if shared {
			finished.pattern = meant.Template + uint64(i)
		}
		if span.Operation >= 0 && sc.operations[span.Operation].Handshake {
			sc.operations[span.Operation].Duration = duration
		}
	}
	return Tree{
		Resource:   program.resource,
		Scope:      m.scope,
		Owner:      f.Process.Owner(),
		Trust:      f.Shape.Head.Trust,
		Spans:      sc.spans,
		Events:     f.Events,
		Operations: sc.operations,
		Downgraded: meant.Downgraded,
		Weak:       meant.Weak,
	}
}
