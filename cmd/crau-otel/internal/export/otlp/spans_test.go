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
)

// source makes spans of any bytes: the same bytes make the same spans. At their end it gives zeros.
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

// number returns numbers of all sizes, the negative ones included.
func (s *source) number() int { return int(s.uint64() >> (s.byte() % 64)) }

// text returns up to 255 bytes, at times 300 times as many: valid UTF-8, but for one time in 64.
func (s *source) text() string {
	n := min(int(s.byte()), len(s.b))
	v := string(s.b[:n])
	s.b = s.b[n:]
	switch how := s.byte(); {
	case how%64 == 63:
		return v
	case how%16 == 15:
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

func (s *source) context() trace.SpanContext {
	var c trace.SpanContextConfig
	binary.LittleEndian.PutUint64(c.TraceID[:], s.uint64())
	binary.LittleEndian.PutUint64(c.SpanID[:], s.uint64())
	c.TraceFlags, c.Remote = trace.TraceFlags(s.byte()), s.byte()%2 == 1
	if s.byte()%4 == 3 {
		c.TraceState, _ = trace.ParseTraceState("vendor=opaque,other=" + string(rune('a'+s.byte()%26)))
	}
	return trace.NewSpanContext(c)
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

func (s *source) span() sdktrace.ReadOnlySpan {
	stub := tracetest.SpanStub{
		Name: s.text(), SpanContext: s.context(), Parent: s.context(), SpanKind: trace.SpanKind(s.byte() % 8),
		StartTime: s.time(), EndTime: s.time(), Attributes: s.common(), DroppedAttributes: s.number(),
		Status: sdktrace.Status{Code: codes.Code(s.byte() % 4), Description: s.text()},
	}
	if s.byte()%4 == 3 {
		stub.Attributes = append(stub.Attributes, s.attributes(0)...)
	}
	if s.byte()%4 == 3 {
		stub.Events = many(s, func() sdktrace.Event {
			return sdktrace.Event{Name: s.text(), Attributes: s.attributes(0), DroppedAttributeCount: s.number(), Time: s.time()}
		})
		stub.Links = many(s, func() sdktrace.Link {
			return sdktrace.Link{SpanContext: s.context(), Attributes: s.attributes(0), DroppedAttributeCount: s.number()}
		})
		stub.DroppedEvents, stub.DroppedLinks = s.number(), s.number()
	}
	if n := s.byte() % 4; n > 0 {
		stub.Resource = sdkresource.NewWithAttributes("https://schema/resource", attribute.Int("number", int(n)))
	}
	if n := s.byte() % 4; n > 0 {
		stub.InstrumentationScope = instrumentation.Scope{
			Name: "scope", Version: string('0' + n), SchemaURL: "https://schema/scope",
			Attributes: attribute.NewSet(attribute.Bool("odd", n%2 == 1)),
		}
	}
	return stub.Snapshot()
}

// handshake returns n spans as crau-otel makes them of TLS handshakes.
func handshake(n int) []sdktrace.ReadOnlySpan {
	resource := sdkresource.NewSchemaless(attribute.String("service.name", "sample"), attribute.String("host.name", "host"))
	start := time.Unix(1790000000, 0)
	spans := make([]sdktrace.ReadOnlySpan, n)
	for i := range spans {
		stub := tracetest.SpanStub{
			Name:        "tls::key_exchange",
			SpanContext: trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1, 2}, SpanID: trace.SpanID{byte(i), 1}}),
			Parent:      trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1, 2}, SpanID: trace.SpanID{3}}),
			SpanKind:    trace.SpanKindInternal, StartTime: start, EndTime: start.Add(time.Millisecond), Resource: resource,
			InstrumentationScope: instrumentation.Scope{Name: "github.com/crau-otel/crau-otel", Version: "v1.0.0"},
			Attributes: []attribute.KeyValue{
				attribute.Int("tls.group.id", 4588), attribute.String("tls.group.name", "X25519MLKEM768"),
				attribute.Bool("tls.key_exchange.negotiated", true), attribute.String("crypto.pqc.status", "hybrid"),
				attribute.String("crypto.context.end", "superseded"),
				attribute.String("crypto.context.id", "9f86d081884c7d659a2feaa0c55ad001"),
			},
		}
		if i%7 == 0 {
			stub.Attributes = append(stub.Attributes, attribute.StringSlice("tls.groups.offered", []string{"X25519MLKEM768", "secp256r1"}))
		}
		spans[i] = stub.Snapshot()
	}
	return spans
}
