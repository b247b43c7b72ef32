// SPDX-License-Identifier: Apache-2.0

package otlp

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"unsafe"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	sdkresource "go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Exporter sends spans through a client of the SDK's. Its methods are safe for concurrent use.
type Exporter struct {
	client  otlptrace.Client
	buffers sync.Pool // of *[]byte

	// Of Encode.
	mu      sync.Mutex
	encoder encoder
	scratch []byte           // one span
	chunk   *strings.Builder // has the spans encoded last
	spans   []encoded        // not used yet
	place   *place           // of the last span
}

// New starts client, such as otlptracegrpc.NewClient gives, and returns an exporter that sends through it.
func New(ctx context.Context, client otlptrace.Client) (*Exporter, error) {
	if err := client.Start(ctx); err != nil {
		return nil, fmt.Errorf("start OTLP client: %w", err)
	}
	return &Exporter{client: client, buffers: sync.Pool{New: func() any { return new([]byte) }}}, nil
}

// Encode returns the spans ready to be sent; nothing of them refers to what was given. Only their resource and scope
// are there to be asked for. Spans that protobuf cannot carry, as their text is no UTF-8, fail as they do with the
// SDK's exporter, with [codes.Internal]: all of them.
func (e *Exporter) Encode(spans []sdktrace.ReadOnlySpan) ([]sdktrace.ReadOnlySpan, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.spans) < len(spans) {
		e.spans = make([]encoded, max(chunkSpans, len(spans)))
	}
	out := make([]sdktrace.ReadOnlySpan, 0, len(spans))
	for _, s := range spans {
		if s == nil {
			continue
		}
		if r, sc := s.Resource(), s.InstrumentationScope(); e.place == nil || r != e.place.resource || sc != e.place.scope {
			e.place = &place{r, sc}
		}
		b, err := e.encoder.append(e.scratch[:0], s)
		if err != nil {
			return nil, status.Errorf(codes.Internal, "encode span: %v", err)
		}
		e.scratch = b
		to := &e.spans[0]
		e.spans = e.spans[1:]
		to.place, to.bytes = e.place, e.keep(b)
		out = append(out, to)
	}
	return out, nil
}

// keep returns a copy of b, which stays. It is a string since Go clears the memory of a slice first.
func (e *Exporter) keep(b []byte) string {
	if len(b) > chunkBytes/8 {
		return string(b)
	}
	if e.chunk == nil || len(b) > e.chunk.Cap()-e.chunk.Len() {
		e.chunk = new(strings.Builder)
		e.chunk.Grow(chunkBytes)
	}
	start := e.chunk.Len()
	e.chunk.Write(b)
	return e.chunk.String()[start:]
}

// The sizes of the pieces in which memory for encoded spans is taken. A piece is free when all its spans were sent.
const (
	chunkBytes = 32 << 10 // the most that Go takes from a free list
	chunkSpans = 256
)

// place is what spans have in common that are sent together.
type place struct {
	resource *sdkresource.Resource
	scope    instrumentation.Scope
}

// encoded is a span ready to be sent.
type encoded struct {
	sdktrace.ReadOnlySpan // nil

	place *place
	bytes string // one element of ScopeSpans.spans
}

// Size returns how much memory the span takes, with what refers to it, in bytes.
func (s *encoded) Size() int {
	return len(s.bytes) + int(unsafe.Sizeof(*s)+unsafe.Sizeof(sdktrace.ReadOnlySpan(s)))
}

func (s *encoded) Resource() *sdkresource.Resource             { return s.place.resource }
func (s *encoded) InstrumentationScope() instrumentation.Scope { return s.place.scope }

// ExportSpans implements [sdktrace.SpanExporter]. Spans may be such as Encode returns, all of them or none.
func (e *Exporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) (err error) {
	if len(spans) > 0 {
		if _, ready := spans[0].(*encoded); !ready {
			spans, err = e.Encode(spans)
		}
	}
	if err == nil && len(spans) > 0 {
		groups := e.group(spans)
		// The client has then copied the buffers: gRPC sends what protobuf marshalled.
		defer e.release(groups)
		err = e.client.UploadTraces(ctx, resourceSpans(groups))
	}
	if err != nil {
		return fmt.Errorf("traces export: %w", err)
	}
	return nil
}

// Shutdown waits for calls that are under way until ctx ends, and closes the connection.
func (e *Exporter) Shutdown(ctx context.Context) error { return e.client.Stop(ctx) }

// group is the spans of one scope of one resource.
type group struct {
	place *place
	spans *[]byte // encoded
}

func (e *Exporter) group(spans []sdktrace.ReadOnlySpan) (groups []group) {
	type same struct {
		resource attribute.Distinct
		scope    instrumentation.Scope
	}
	known := make(map[same]int)
	var last *place
	var to *[]byte
	for _, s := range spans {
		s := s.(*encoded)
		// Spans come by trees, so that most are of the same place as the one before.
		if s.place != last {
			last = s.place
			key := same{last.resource.Equivalent(), last.scope}
			i, ok := known[key]
			if !ok {
				i = len(groups)
				known[key] = i
				groups = append(groups, group{last, e.buffer()})
			}
			to = groups[i].spans
		}
		*to = append(*to, s.bytes...)
	}
	return groups
}

func (e *Exporter) buffer() *[]byte {
	b := e.buffers.Get().(*[]byte)
	*b = (*b)[:0]
	return b
}

func (e *Exporter) release(groups []group) {
	for _, g := range groups {
		if cap(*g.spans) <= maxKept {
			e.buffers.Put(g.spans)
		}
	}
}

// maxKept bounds the buffers that are used again, in bytes.
const maxKept = 4 << 20

// resourceSpans returns messages that marshal to the groups. Encoded spans are given to protobuf as a field that it does
// not know: it writes the bytes of such fields as they are.
func resourceSpans(groups []group) []*tracepb.ResourceSpans {
	all := make([]*tracepb.ResourceSpans, 0, len(groups))
	known := make(map[attribute.Distinct]*tracepb.ResourceSpans, len(groups))
	for _, g := range groups {
		rs := transform(tracetest.SpanStub{Resource: g.place.resource, InstrumentationScope: g.place.scope}.Snapshot())
		scope := rs.ScopeSpans[0]
		scope.Spans = nil
		scope.ProtoReflect().SetUnknown(*g.spans)
		resource := g.place.resource.Equivalent()
		if other, ok := known[resource]; ok {
			other.ScopeSpans = append(other.ScopeSpans, scope)
			continue
		}
		known[resource] = rs
		all = append(all, rs)
	}
	return all
}

// transform returns the SDK's message for one span.
func transform(s sdktrace.ReadOnlySpan) *tracepb.ResourceSpans {
	var c capture
	// It calls UploadTraces with the message and fails only if that does.
	_ = otlptrace.NewUnstarted(&c).ExportSpans(context.Background(), []sdktrace.ReadOnlySpan{s})
	return c.spans[0]
}

// capture is a client that keeps what it is to send.
type capture struct {
	otlptrace.Client
	spans []*tracepb.ResourceSpans
}

// UploadTraces implements [otlptrace.Client].
func (c *capture) UploadTraces(_ context.Context, spans []*tracepb.ResourceSpans) error {
	c.spans = spans
	return nil
}
