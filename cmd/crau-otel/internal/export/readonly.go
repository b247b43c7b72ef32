// SPDX-License-Identifier: Apache-2.0

package export

import (
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	sdkresource "go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/crau-otel/crau-otel/mapping"
)

// readOnly presents a span of a tree as the SDK's interface, until the exporters take trees.
type readOnly struct {
	sdktrace.ReadOnlySpan // nil: for the interface's private method

	*mapping.Span

	tree *mapping.Tree
}

// ReadOnly returns the spans of a tree as the SDK's exporters take them.
func ReadOnly(t *mapping.Tree) []sdktrace.ReadOnlySpan {
	spans := make([]sdktrace.ReadOnlySpan, len(t.Spans))
	for i := range t.Spans {
		spans[i] = &readOnly{Span: &t.Spans[i], tree: t}
	}
	return spans
}

func (s *readOnly) context(id trace.SpanID) trace.SpanContext {
	return trace.NewSpanContext(trace.SpanContextConfig{TraceID: s.TraceID, SpanID: id, TraceFlags: trace.FlagsSampled})
}

func (s *readOnly) Name() string                   { return s.Span.Name }
func (s *readOnly) SpanContext() trace.SpanContext { return s.context(s.SpanID) }

func (s *readOnly) Parent() trace.SpanContext {
	if !s.ParentID.IsValid() {
		return trace.SpanContext{}
	}
	return s.context(s.ParentID)
}
func (s *readOnly) Attributes() []attribute.KeyValue              { return s.Span.Attributes() }
func (s *readOnly) SpanKind() trace.SpanKind                      { return s.Kind }
func (s *readOnly) StartTime() time.Time                          { return s.Start }
func (s *readOnly) EndTime() time.Time                            { return s.End }
func (s *readOnly) Links() []sdktrace.Link                        { return nil }
func (s *readOnly) Events() []sdktrace.Event                      { return nil }
func (s *readOnly) Status() sdktrace.Status                       { return s.Span.Status }
func (s *readOnly) DroppedAttributes() int                        { return s.Span.DroppedAttributes }
func (s *readOnly) DroppedLinks() int                             { return 0 }
func (s *readOnly) DroppedEvents() int                            { return 0 }
func (s *readOnly) ChildSpanCount() int                           { return 0 }
func (s *readOnly) Resource() *sdkresource.Resource               { return s.tree.Resource }
func (s *readOnly) InstrumentationScope() instrumentation.Scope   { return s.tree.Scope }
func (s *readOnly) InstrumentationLibrary() instrumentation.Scope { return s.tree.Scope }
