// SPDX-License-Identifier: Apache-2.0

package otlp

import (
	"context"
	"unsafe"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	sdkresource "go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// origin is the encoded resource and scope, which all spans of one ScopeSpans message share.
type origin struct {
	key      originKey
	resource []byte // ResourceSpans message without scopes
	scope    []byte // ScopeSpans message without spans
}

// originKey identifies an origin by its content.
type originKey struct {
	resource attribute.Distinct
	scope    instrumentation.Scope
}

// originPointer identifies an origin by the address of its resource, which is faster than by content. It suffices
// because a mapper has one resource for each program.
type originPointer struct {
	resource *sdkresource.Resource
	scope    instrumentation.Scope
}

func (p originPointer) hash() uint64 { return uint64(uintptr(unsafe.Pointer(p.resource))) >> 4 } //nolint:gosec // a number

// rememberedOrigins is how many encoded origins are remembered.
const rememberedOrigins = 256

// origin returns the origin for a resource and a scope. It fails if a text in them is not UTF-8.
func (e *Exporter) origin(resource *sdkresource.Resource, scope instrumentation.Scope) (*origin, error) {
	p := originPointer{resource, scope}
	if known := e.origins.Get(p.hash(), p); known != nil {
		return *known, nil
	}
	rs := transform(tracetest.SpanStub{Resource: resource, InstrumentationScope: scope})
	ss := rs.ScopeSpans[0]
	rs.ScopeSpans, ss.Spans = nil, nil
	o := &origin{key: originKey{resource.Equivalent(), scope}}
	var err error
	if o.resource, err = proto.Marshal(rs); err != nil {
		return nil, err
	}
	if o.scope, err = proto.Marshal(ss); err != nil {
		return nil, err
	}
	e.origins.Put(p.hash(), p, o)
	return o, nil
}

// transform returns the protobuf message that the SDK makes for a span.
func transform(s tracetest.SpanStub) *tracepb.ResourceSpans {
	var c capture
	// ExportSpans calls UploadTraces with the message, and fails only if UploadTraces does.
	_ = otlptrace.NewUnstarted(&c).ExportSpans(context.Background(), []sdktrace.ReadOnlySpan{s.Snapshot()})
	return c.spans[0]
}

// capture is an [otlptrace.Client] that stores the message instead of sending it.
type capture struct {
	otlptrace.Client
	spans []*tracepb.ResourceSpans
}

// UploadTraces implements [otlptrace.Client].
func (c *capture) UploadTraces(_ context.Context, spans []*tracepb.ResourceSpans) error {
	c.spans = spans
	return nil
}
