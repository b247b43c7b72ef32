// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/crau-otel/crau-otel/tracer/event"
)

// ScopeName is the instrumentation scope of every span.
const ScopeName = "github.com/crau-otel/crau-otel"

// Attributes that say how a context was seen, rather than what it did.
const (
	attrContextID         = attribute.Key("crypto.context.id")
	attrContextEnd        = attribute.Key("crypto.context.end")
	attrContextParent     = attribute.Key("crypto.context.parent")
	attrContextTruncated  = attribute.Key("crypto.context.truncated")
	attrContextUnreadable = attribute.Key("crypto.context.unreadable")
	attrIncomplete        = attribute.Key("crypto.incomplete")
)

// unnamed is the span name of a context whose name never came.
const unnamed = "crypto.context"

// finish ends a tree and gives it to the sink.
func (m *Mapper) finish(t *tree, why end) {
	if why == endEvicted {
		m.stats.Evicted++
	}
	m.stats.Trees++
	m.give(t, t.nodes, why)
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
	if open := n.tree.thread.open; open[n.ctx] == n {
		delete(open, n.ctx)
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
	if len(nodes) == 0 {
		return
	}
	for _, n := range nodes {
		n.stretch()
	}
	spans := make([]sdktrace.ReadOnlySpan, len(nodes))
	for i, n := range nodes {
		spans[i] = m.span(t, n, why)
	}
	m.stats.Spans += uint64(len(spans))
	m.cfg.Sink(Tree{Spans: spans, Events: t.events})
	t.events = 0
}

// stretch lets the contexts above n last at least as long as n.
func (n *node) stretch() {
	for p := n.parent; p != nil && p.last < n.last; p = p.parent {
		p.last = n.last
	}
}

func (m *Mapper) span(t *tree, n *node, why end) sdktrace.ReadOnlySpan {
	// The snapshot of a stub is the SDK's public way to make a finished span; a tracer's own spans would cost a lock, a
	// dozen allocations and a pass through the sampler each.
	stub := tracetest.SpanStub{
		Name:        n.name,
		SpanContext: spanContext(t.trace, n.span),
		SpanKind:    trace.SpanKindInternal,
		StartTime:   m.cfg.Wall(n.start),
		Attributes:  m.attributes(t, n, why),
		Resource:    t.thread.proc.who.resource,

		DroppedAttributes:    n.dropped,
		InstrumentationScope: instrumentation.Scope{Name: ScopeName, Version: m.cfg.ScopeVersion},
	}
	if stub.Name == "" {
		stub.Name = unnamed
	}
	stub.EndTime = stub.StartTime.Add(time.Duration(n.last - n.start))
	if n.parent != nil {
		stub.Parent = spanContext(t.trace, n.parent.span)
	}
	return stub.Snapshot()
}

func spanContext(traceID trace.TraceID, spanID trace.SpanID) trace.SpanContext {
	return trace.NewSpanContext(trace.SpanContextConfig{TraceID: traceID, SpanID: spanID, TraceFlags: trace.FlagsSampled})
}

func (m *Mapper) attributes(t *tree, n *node, why end) []attribute.KeyValue {
	attrs := make([]attribute.KeyValue, 0, len(n.data)+5)
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
		attrs = append(attrs, attribute.KeyValue{Key: attribute.Key(d.key.attr), Value: d.value()})
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
	return append(attrs, attrContextID.String(m.contextID(t.thread, n.ctx)), attrContextEnd.String(string(why)))
}
