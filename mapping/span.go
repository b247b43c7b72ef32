// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"crypto/aes"
	"slices"
	"time"

	"go.opentelemetry.io/otel/attribute"
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
	meaning    meaning
	spans      []Span
	operations []Operation
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
	t.shed = true
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
	}
	what, number := m.patterns.find(t, nodes, why)
	if what == nil {
		what = m.mean(t, nodes, why)
		number = m.patterns.learn(nodes, what)
	}
	events := t.events
	t.events = 0
	if len(what.spans) == 0 {
		m.stats.Hidden += uint64(events)
		return
	}
	out := m.spans(t, nodes, what, number)
	out.Events = events
	m.stats.Spans += uint64(len(out.Spans))
	m.cfg.Sink(out)
}

// spans makes the spans of nodes, of which it is known what they mean. They are in the scratch memory.
func (m *Mapper) spans(t *tree, nodes []*node, what *meaning, number uint64) Tree {
	sc := &m.scratch
	if cap(sc.spans) > maxScratch {
		sc.spans, sc.operations = nil, nil
	}
	known := what != &sc.meaning // and all trees of its pattern share its attributes
	sc.operations = append(sc.operations[:0], what.operations...)
	sc.spans = slices.Grow(sc.spans[:0], len(what.spans))
	start := 0
	for i := range what.spans {
		meant := &what.spans[i]
		n := nodes[meant.node]
		attrs, id := what.attrs[start:meant.end:meant.end], m.contextID(n)
		if !known {
			attrs[meant.id].Value = attribute.StringValue(id)
		}
		start = meant.end
		begin := m.cfg.Wall(n.start)
		sc.spans = append(sc.spans, Span{
			Name:              meant.name,
			Kind:              meant.kind,
			TraceID:           t.trace,
			SpanID:            n.span,
			Start:             begin,
			End:               begin.Add(time.Duration(n.last - n.start)),
			Status:            meant.status,
			DroppedAttributes: meant.dropped,
			attributes:        attrs,
			shared:            known,
			contextAt:         meant.id,
			contextID:         id,
		})
		sp := &sc.spans[i]
		if meant.up > 0 {
			sp.ParentID = n.above(meant.up).span
		}
		if number != 0 {
			sp.pattern = number + uint64(i)
		}
		if meant.operation >= 0 && sc.operations[meant.operation].Handshake {
			sc.operations[meant.operation].Duration = time.Duration(n.last - n.start)
		}
	}
	return Tree{
		Resource:   t.thread.proc.who.resource,
		Scope:      m.scope,
		Spans:      sc.spans,
		Operations: sc.operations,
		Downgraded: what.downgraded,
		Weak:       what.weak,
	}
}

// stretch lets the contexts above n last at least as long as n.
func (n *node) stretch() {
	for p := n.parent; p != nil && p.last < n.last; p = p.parent {
		p.last = n.last
	}
}
