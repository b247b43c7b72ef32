// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"slices"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	sdkresource "go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

// span is a finished span. A tracer's own would cost a lock, a dozen allocations and a pass through the sampler each;
// the SDK's stand-in for tests is copied whole, half a kilobyte, at every call of a method.
type span struct {
	sdktrace.ReadOnlySpan // nil: for the interface's private method, as the SDK's stand-in has it

	*meant

	pattern    uint64
	context    trace.SpanContext
	parent     trace.SpanContext
	start, end time.Time
	attributes []attribute.KeyValue
	shared     bool   // attributes are the pattern's: they lack the context's id
	contextID  string // the value of that attribute
	resource   *sdkresource.Resource
	scope      *instrumentation.Scope
}

func (s *span) Name() string                                  { return s.name }
func (s *span) SpanContext() trace.SpanContext                { return s.context }
func (s *span) Parent() trace.SpanContext                     { return s.parent }
func (s *span) SpanKind() trace.SpanKind                      { return s.kind }
func (s *span) StartTime() time.Time                          { return s.start }
func (s *span) EndTime() time.Time                            { return s.end }
func (s *span) Links() []sdktrace.Link                        { return nil }
func (s *span) Events() []sdktrace.Event                      { return nil }
func (s *span) Status() sdktrace.Status                       { return s.status }
func (s *span) DroppedAttributes() int                        { return s.dropped }
func (s *span) DroppedLinks() int                             { return 0 }
func (s *span) DroppedEvents() int                            { return 0 }
func (s *span) ChildSpanCount() int                           { return 0 }
func (s *span) Resource() *sdkresource.Resource               { return s.resource }
func (s *span) InstrumentationScope() instrumentation.Scope   { return *s.scope }
func (s *span) InstrumentationLibrary() instrumentation.Scope { return *s.scope }

// Attributes makes the attributes the span's own first: one whose pattern is known need not be asked for them.
func (s *span) Attributes() []attribute.KeyValue {
	if s.shared {
		s.attributes, s.shared = slices.Clone(s.attributes), false
		s.attributes[s.id].Value = attribute.StringValue(s.contextID)
	}
	return s.attributes
}

// Pattern returns a number that spans share which differ in nothing but their ids, times, resource and the text of one
// attribute, which attribute that is, and its text, which is as long in all of them. No two patterns of a mapper have the
// same number, and 0 is none.
func (s *span) Pattern() (number uint64, attribute int, text string) {
	return s.pattern, s.id, s.contextID
}

// Clone returns a copy that stays as it is.
func (t Tree) Clone() Tree {
	spans := make([]sdktrace.ReadOnlySpan, len(t.Spans))
	for i, s := range t.Spans {
		stub := tracetest.SpanStubFromReadOnlySpan(s)
		stub.Attributes = slices.Clone(stub.Attributes)
		spans[i] = stub.Snapshot()
	}
	t.Spans, t.Operations = spans, slices.Clone(t.Operations)
	return t
}
