// SPDX-License-Identifier: Apache-2.0

package otlp

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
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
	chunks  sync.Pool // of *chunk

	// Of Encode.
	mu      sync.Mutex
	encoder encoder
	scratch []byte    // one span
	chunk   *chunk    // has the spans encoded last
	spans   []encoded // not used yet
	place   *place    // of the last span
}

// New starts client, such as otlptracegrpc.NewClient gives, and returns an exporter that sends through it.
func New(ctx context.Context, client otlptrace.Client) (*Exporter, error) {
	if err := client.Start(ctx); err != nil {
		return nil, fmt.Errorf("start OTLP client: %w", err)
	}
	return &Exporter{
		client:  client,
		buffers: sync.Pool{New: func() any { return new([]byte) }},
		chunks:  sync.Pool{New: func() any { return &chunk{bytes: make([]byte, 0, chunkBytes)} }},
	}, nil
}

// Encode returns the spans ready to be sent; nothing of them refers to what was given. Only their resource and scope
// are there to be asked for. Spans that protobuf cannot carry, as their text is no UTF-8, fail as they do with the
// SDK's exporter, with [codes.Internal]: all of them. Spans that are needed no more should be given to Release.
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
		to := &e.spans[0]
		if err := e.encode(to, s); err != nil {
			e.Release(out)
			return nil, status.Errorf(codes.Internal, "encode span: %v", err)
		}
		to.place = e.place
		e.spans = e.spans[1:]
		out = append(out, to)
	}
	return out, nil
}

func (e *Exporter) encode(to *encoded, s sdktrace.ReadOnlySpan) error {
	number, own, text := pattern(s)
	start, end := s.StartTime().UnixNano(), s.EndTime().UnixNano()
	if t := e.encoder.templates[number]; t != nil && start > 0 && end > 0 {
		e.take(to, len(t.bytes))
		t.write(to.bytes, s, start, end, text)
		return nil
	}
	b, err := e.encoder.append(e.scratch[:0], s, number, own)
	if err != nil {
		return err
	}
	e.scratch = b
	e.take(to, len(b))
	copy(to.bytes, b)
	return nil
}

// take gives the span memory for n bytes.
func (e *Exporter) take(to *encoded, n int) {
	if n > chunkBytes/8 {
		to.bytes = make([]byte, n)
		return
	}
	if e.chunk != nil && n > cap(e.chunk.bytes)-len(e.chunk.bytes) {
		e.leave(e.chunk, 1)
		e.chunk = nil
	}
	c := e.chunk
	if c == nil {
		c = e.chunks.Get().(*chunk)
		c.uses.Store(1)
		e.chunk = c
	}
	c.uses.Add(1)
	start := len(c.bytes)
	c.bytes = c.bytes[:start+n]
	to.chunk, to.bytes = c, c.bytes[start:start+n:start+n]
}

// leave ends so many uses of a chunk.
func (e *Exporter) leave(c *chunk, uses int) {
	if c.uses.Add(-int32(uses)) == 0 {
		c.bytes = c.bytes[:0]
		e.chunks.Put(c)
	}
}

// Release takes back the memory of spans that Encode returned. They must not be used any more.
func (e *Exporter) Release(spans []sdktrace.ReadOnlySpan) {
	for len(spans) > 0 {
		c, n := spans[0].(*encoded).chunk, 1
		for n < len(spans) && spans[n].(*encoded).chunk == c {
			n++
		}
		if c != nil {
			e.leave(c, n)
		}
		spans = spans[n:]
	}
}

// The sizes of the pieces in which memory for encoded spans is taken.
const (
	chunkBytes = 32 << 10
	chunkSpans = 256
)

// chunk is memory for encoded spans that is used again when none of them is needed any more: memory that the kernel has
// to provide costs about as much as encoding what it is for.
type chunk struct {
	bytes []byte
	uses  atomic.Int32 // by spans that were not released, and by Encode while it is the last one
}

// place is what spans have in common that are sent together.
type place struct {
	resource *sdkresource.Resource
	scope    instrumentation.Scope
}

// encoded is a span ready to be sent.
type encoded struct {
	sdktrace.ReadOnlySpan // nil

	place *place
	bytes []byte // one element of ScopeSpans.spans
	chunk *chunk // has the bytes; nil: they are the span's own
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
			defer func() { e.Release(spans) }()
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
