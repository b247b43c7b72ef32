// SPDX-License-Identifier: Apache-2.0

package otlp_test

import (
	"encoding/binary"
	"math"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	sdkresource "go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/crau-otel/crau-otel/mapping"
)

// source makes spans from arbitrary bytes; the same bytes always make the same spans. When the bytes are used up, zeros
// follow.
type source struct{ b []byte }

func (s *source) byte() byte {
	if len(s.b) == 0 {
		return 0
	}
	v := s.b[0]
	s.b = s.b[1:]
	return v
}

func (s *source) uint64() uint64 {
	var v [8]byte
	n := copy(v[:], s.b)
	s.b = s.b[n:]
	return binary.LittleEndian.Uint64(v[:])
}

// number returns numbers of all sizes, including negative ones.
func (s *source) number() int { return int(s.uint64() >> (s.byte() % 64)) }

// text returns a text of up to 255 bytes, which is sometimes repeated 300 times. In one case of 64, the text may be
// invalid UTF-8.
func (s *source) text() string {
	n := min(int(s.byte()), len(s.b))
	v := string(s.b[:n])
	s.b = s.b[n:]
	switch kind := s.byte(); {
	case kind%64 == 63:
		return v
	case kind%16 == 15:
		v = strings.Repeat(v, 300)
	}
	return strings.ToValidUTF8(v, "é")
}

func many[T any](s *source, f func() T) []T {
	var all []T
	for range s.byte() % 4 {
		all = append(all, f())
	}
	return all
}

func (s *source) value(depth int) attribute.Value {
	kind := s.byte() % 16
	if depth > 2 {
		kind %= 8
	}
	switch kind {
	case 0:
		return attribute.Value{}
	case 1:
		return attribute.BoolValue(s.byte()%2 == 1)
	case 2:
		return attribute.BoolSliceValue(many(s, func() bool { return s.byte()%2 == 1 }))
	case 3:
		return attribute.Int64Value(int64(s.number()))
	case 4:
		return attribute.Int64SliceValue(many(s, func() int64 { return int64(s.number()) }))
	case 5:
		return attribute.Float64Value(math.Float64frombits(s.uint64()))
	case 6:
		return attribute.Float64SliceValue(many(s, func() float64 { return math.Float64frombits(s.uint64()) }))
	case 7:
		return attribute.ByteSliceValue(many(s, s.byte))
	case 8:
		return attribute.SliceValue(many(s, func() attribute.Value { return s.value(depth + 1) })...)
	case 9:
		return attribute.MapValue(s.attributes(depth + 1)...)
	case 10, 11, 12:
		return attribute.StringSliceValue(many(s, s.text))
	default:
		return attribute.StringValue(s.text())
	}
}

func (s *source) attributes(depth int) []attribute.KeyValue {
	return many(s, func() attribute.KeyValue {
		return attribute.KeyValue{Key: attribute.Key(s.text()), Value: s.value(depth)}
	})
}

// common returns attributes of the kinds that crau-otel sets.
func (s *source) common() []attribute.KeyValue {
	return many(s, func() attribute.KeyValue {
		key := attribute.Key(s.text())
		switch s.byte() % 4 {
		case 0:
			return key.String(s.text())
		case 1:
			return key.Int(s.number())
		case 2:
			return key.Bool(s.byte()%2 == 1)
		default:
			return key.StringSlice(many(s, s.text))
		}
	})
}

func (s *source) spanID() (id trace.SpanID) {
	binary.LittleEndian.PutUint64(id[:], s.uint64())
	return id
}

func (s *source) time() time.Time {
	switch s.byte() % 8 {
	case 0:
		return time.Time{}
	case 1:
		return time.Unix(0, 0)
	default:
		return time.Unix(0, int64(s.uint64()))
	}
}

// tree returns a tree of up to n spans.
func (s *source) tree(n int) mapping.Tree {
	var t mapping.Tree
	for range 1 + int(s.byte())%n {
		span := mapping.Span{
			Name: s.text(), SpanID: s.spanID(), ParentID: s.spanID(), Kind: trace.SpanKind(s.byte() % 8),
			Start: s.time(), End: s.time(), DroppedAttributes: s.number(),
			Status: sdktrace.Status{Code: codes.Code(s.byte() % 4), Description: s.text()},
		}
		binary.LittleEndian.PutUint64(span.TraceID[:], s.uint64())
		if s.byte()%4 == 1 {
			span.Link.TraceID[0], span.Link.SpanID = 1, s.spanID()
		}
		attrs := s.common()
		if s.byte()%4 == 3 {
			attrs = append(attrs, s.attributes(0)...)
		}
		span.SetAttributes(attrs)
		t.Spans = append(t.Spans, span)
	}
	if n := s.byte() % 4; n > 0 {
		t.Resource = sdkresource.NewWithAttributes("https://schema/resource", attribute.Int("number", int(n)))
	}
	if n := s.byte() % 4; n > 0 {
		t.Scope = instrumentation.Scope{
			Name: "scope", Version: string('0' + n), SchemaURL: "https://schema/scope",
			Attributes: attribute.NewSet(attribute.Bool("odd", n%2 == 1)),
		}
	}
	return t
}

// stubs returns trees in the form that the SDK's exporter accepts.
func stubs(trees ...mapping.Tree) []sdktrace.ReadOnlySpan {
	var all tracetest.SpanStubs
	for _, t := range trees {
		for i := range t.Spans {
			s := &t.Spans[i]
			context := func(id trace.SpanID) trace.SpanContext {
				return trace.NewSpanContext(trace.SpanContextConfig{TraceID: s.TraceID, SpanID: id, TraceFlags: trace.FlagsSampled})
			}
			stub := tracetest.SpanStub{
				Name: s.Name, SpanContext: context(s.SpanID), SpanKind: s.Kind, StartTime: s.Start, EndTime: s.End,
				Attributes: s.Attributes(), DroppedAttributes: s.DroppedAttributes, Status: s.Status, Resource: t.Resource,
				InstrumentationScope: t.Scope,
			}
			if s.ParentID.IsValid() {
				stub.Parent = context(s.ParentID)
			}
			if l := s.Link; l.IsValid() {
				stub.Links = []sdktrace.Link{{SpanContext: trace.NewSpanContext(trace.SpanContextConfig{
					TraceID: l.TraceID, SpanID: l.SpanID, TraceFlags: trace.FlagsSampled,
				})}}
			}
			all = append(all, stub)
		}
	}
	return all.Snapshots()
}

// handshake returns a tree of n spans in the form that crau-otel gives to TLS handshakes.
func handshake(n int) mapping.Tree {
	start := time.Unix(1790000000, 0)
	t := mapping.Tree{
		Resource: sdkresource.NewSchemaless(attribute.String("service.name", "sample"), attribute.String("host.name", "host")),
		Scope:    instrumentation.Scope{Name: "github.com/crau-otel/crau-otel", Version: "v1.0.0"},
		Spans:    make([]mapping.Span, n),
	}
	for i := range t.Spans {
		t.Spans[i] = mapping.Span{
			Name: "tls::key_exchange", TraceID: trace.TraceID{1, 2}, SpanID: trace.SpanID{byte(i), 1}, ParentID: trace.SpanID{3},
			Kind: trace.SpanKindInternal, Start: start, End: start.Add(time.Millisecond),
		}
		attrs := []attribute.KeyValue{
			attribute.Int("tls.group.id", 4588), attribute.String("tls.group.name", "X25519MLKEM768"),
			attribute.Bool("tls.key_exchange.negotiated", true), attribute.String("crypto.pqc.status", "hybrid"),
			attribute.String("crypto.context.end", "superseded"),
			attribute.String("crypto.context.id", "9f86d081884c7d659a2feaa0c55ad001"),
		}
		if i%7 == 0 {
			attrs = append(attrs, attribute.StringSlice("tls.groups.offered", []string{"X25519MLKEM768", "secp256r1"}))
		}
		t.Spans[i].SetAttributes(attrs)
	}
	return t
}
