// SPDX-License-Identifier: Apache-2.0

package otlp_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/export"
	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/export/otlp"
	"github.com/crau-otel/crau-otel/mapping"
	"github.com/crau-otel/crau-otel/tracer/event"
)

// wire is a client that marshals what it is to send, as gRPC does.
type wire struct {
	sent           []byte
	err            error
	started, ended int
}

func (w *wire) Start(context.Context) error { w.started++; return w.err }

func (w *wire) Stop(context.Context) error { w.ended++; return w.err }

func (w *wire) UploadTraces(_ context.Context, spans []*tracepb.ResourceSpans) error {
	if w.err != nil {
		return w.err
	}
	var err error
	w.sent, err = proto.MarshalOptions{}.MarshalAppend(w.sent[:0], &collector.ExportTraceServiceRequest{ResourceSpans: spans})
	return err
}

type exporter interface {
	ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error
}

func newExporter(t testing.TB, client otlptrace.Client) *otlp.Exporter {
	t.Helper()
	e, err := otlp.New(t.Context(), client)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// sent returns what a receiver decodes of an exporter's message. The SDK orders resources at random.
func sent(t *testing.T, w *wire, e exporter, spans []sdktrace.ReadOnlySpan) (*collector.ExportTraceServiceRequest, error) {
	t.Helper()
	w.sent = w.sent[:0]
	if err := e.ExportSpans(t.Context(), spans); err != nil {
		return nil, err
	}
	var request collector.ExportTraceServiceRequest
	if err := proto.Unmarshal(w.sent, &request); err != nil {
		t.Fatalf("what was sent is no request: %v", err)
	}
	if again, err := proto.Marshal(&request); err != nil || len(again) != len(w.sent) {
		t.Errorf("%d bytes were sent, %d are enough: %v", len(w.sent), len(again), err)
	}
	slices.SortFunc(request.ResourceSpans, func(a, b *tracepb.ResourceSpans) int {
		return strings.Compare(a.Resource.String(), b.Resource.String())
	})
	return &request, nil
}

// checkSame compares with the SDK's exporter.
func checkSame(t *testing.T, spans []sdktrace.ReadOnlySpan) {
	t.Helper()
	var ours wire
	checkSameOf(t, &ours, newExporter(t, &ours), spans)
}

func checkSameOf(t *testing.T, ours *wire, e exporter, spans []sdktrace.ReadOnlySpan) {
	t.Helper()
	var theirs wire
	got, err := sent(t, ours, e, spans)
	want, wantErr := sent(t, &theirs, otlptrace.NewUnstarted(&theirs), spans)
	if (err == nil) != (wantErr == nil) {
		t.Fatalf("error is %v, the SDK's %v", err, wantErr)
	}
	if wantErr == nil && !proto.Equal(got, want) {
		t.Errorf("sent\n%v\nthe SDK sends\n%v", got, want)
	}
}

func TestSameAsTheSDK(t *testing.T) {
	failed := 0
	for seed := range uint64(2000) {
		random := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
		b := make([]byte, 4000)
		_, _ = random.Read(b)
		s := source{b: b}
		var spans []sdktrace.ReadOnlySpan
		for range s.byte() % 12 {
			spans = append(spans, s.span())
		}
		checkSame(t, spans)
		var w wire
		if err := otlptrace.NewUnstarted(&w).ExportSpans(t.Context(), spans); err != nil {
			failed++
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	if failed == 0 || failed > 1000 {
		t.Errorf("%d of 2000 batches are refused for their text: the test is too weak", failed)
	}
}

func FuzzSameAsTheSDK(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("\x04name\x00 and more of everything that a span can have"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s := source{b: b}
		spans := []sdktrace.ReadOnlySpan{s.span()}
		for len(s.b) > 0 {
			spans = append(spans, s.span())
		}
		checkSame(t, spans)
	})
}

// The length of a span takes one byte up to 127, two up to 16383, three up to 2097151.
func TestLengths(t *testing.T) {
	for _, around := range []int{0, 127, 128, 1 << 14, 1 << 21} {
		for n := max(0, around-150); n < around+10; n++ {
			long := strings.Repeat("x", n)
			checkSame(t, tracetest.SpanStubs{{Name: long}, {Name: "next"}}.Snapshots())
			if around <= 1<<14 {
				checkSame(t, tracetest.SpanStubs{
					{Attributes: []attribute.KeyValue{attribute.String("", long), attribute.StringSlice("k", []string{long, ""})}},
				}.Snapshots())
			}
			if t.Failed() {
				t.Fatalf("%d bytes", n)
			}
		}
	}
}

func TestHandshakesAreTheSame(t *testing.T) {
	checkSame(t, handshake(2048))
	checkSame(t, append(handshake(3), handshake(2)...)) // equal resources that are two
	checkSame(t, []sdktrace.ReadOnlySpan{nil, handshake(1)[0], nil})
}

func TestNothingToSend(t *testing.T) {
	w := wire{}
	e := newExporter(t, &w)
	w.err = errors.New("nothing was to be sent")
	for _, spans := range [][]sdktrace.ReadOnlySpan{nil, {}, {nil}} {
		if err := e.ExportSpans(t.Context(), spans); err != nil {
			t.Errorf("%v: %v", spans, err)
		}
	}
}

func TestErrors(t *testing.T) {
	w := wire{err: errors.New("no such host")}
	if _, err := otlp.New(t.Context(), &w); !errors.Is(err, w.err) {
		t.Errorf("error is %v", err)
	}
	w.err = nil
	e := newExporter(t, &w)
	w.err = status.Error(codes.Unavailable, "connection refused")
	if err := e.ExportSpans(t.Context(), handshake(1)); status.Code(err) != codes.Unavailable {
		t.Errorf("error is %v", err)
	}
	if err := e.Shutdown(t.Context()); !errors.Is(err, w.err) || w.ended != 1 {
		t.Errorf("error is %v, stopped %d times", err, w.ended)
	}
}

// Neither text in a field that is encoded here, nor in one that protobuf encodes, may be anything but UTF-8.
func TestInvalidUTF8(t *testing.T) {
	const bad = "\xff"
	for _, stub := range []tracetest.SpanStub{
		{Name: bad},
		{Status: sdktrace.Status{Description: bad}},
		{Attributes: []attribute.KeyValue{attribute.String(bad, "value")}},
		{Attributes: []attribute.KeyValue{attribute.String("key", bad)}},
		{Attributes: []attribute.KeyValue{attribute.StringSlice("key", []string{"fine", bad})}},
		{Attributes: []attribute.KeyValue{attribute.MapValue(attribute.String("key", bad)).AsMap()[0]}},
		{Events: []sdktrace.Event{{Name: bad}}},
	} {
		spans := []sdktrace.ReadOnlySpan{handshake(1)[0], stub.Snapshot()}
		checkSame(t, spans)
		var w wire
		if err := newExporter(t, &w).ExportSpans(t.Context(), spans); status.Code(err) != codes.Internal {
			t.Errorf("error is %v, want one with code Internal", err)
		}
	}
}

// BenchmarkExport encodes batches of the spans that handshakes give; the SDK's exporter is the measure. Both are asked
// for bytes: 293 trees of 7 spans, as they leave the mapper, in one message.
func BenchmarkExport(b *testing.B) {
	const trees = 293
	mapped(b, 3, func(i int, tree []sdktrace.ReadOnlySpan) {
		if i != 2 {
			return
		}
		var spans []sdktrace.ReadOnlySpan
		for range trees {
			spans = append(spans, tree...)
		}
		var w wire
		b.Run("SDK", func(b *testing.B) {
			theirs := otlptrace.NewUnstarted(&w)
			b.ReportAllocs()
			for b.Loop() {
				if err := theirs.ExportSpans(b.Context(), spans); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(spans)), "ns/span")
			b.ReportMetric(float64(len(w.sent))/float64(len(spans)), "B/span")
		})
		b.Run("ours", func(b *testing.B) {
			ours := newExporter(b, &w)
			b.ReportAllocs()
			for b.Loop() {
				held := make([]sdktrace.ReadOnlySpan, 0, len(spans))
				for range trees {
					one, err := ours.Encode(tree)
					if err != nil {
						b.Fatal(err)
					}
					held = append(held, one...)
				}
				if err := ours.ExportSpans(b.Context(), held); err != nil {
					b.Fatal(err)
				}
				ours.Release(held)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(spans)), "ns/span")
			b.ReportMetric(float64(len(w.sent))/float64(len(spans)), "B/span")
		})
	})
}

// mapped gives f the spans of TLS 1.3 clients, straight from the mapper: those of a handshake, then all that is left, tree by
// tree. They are alike, but for one in nine.
func mapped(t testing.TB, handshakes int, f func(i int, tree []sdktrace.ReadOnlySpan)) {
	t.Helper()
	trees := 0
	m, err := mapping.New(mapping.Config{
		Wall: func(boot uint64) time.Time { return time.Unix(1790000000, int64(boot)) },
		Sink: func(tree mapping.Tree) { f(trees, export.ReadOnly(&tree)); trees++ },
	})
	if err != nil {
		t.Fatal(err)
	}
	now, tid := uint64(0), uint32(0)
	open := func(name string, pairs ...event.Pair) {
		now += 1 + now>>3
		pairs = append([]event.Pair{{Key: []byte("name"), Type: event.String, Value: []byte(name)}}, pairs...)
		m.Handle(&event.Event{Kind: event.NewContext, Time: now, PID: 1, TID: tid, Context: 7, Parent: 7, Pairs: pairs})
	}
	word := func(key string, n uint64) event.Pair { return event.Pair{Key: []byte(key), Word: n} }
	text := func(key, s string) event.Pair {
		return event.Pair{Key: []byte(key), Type: event.String, Value: []byte(s)}
	}
	for i := range handshakes {
		tid = uint32(i + 1)
		group := uint64(29)
		if i%9 == 8 {
			group += uint64(i) << 16 // its spans have other lengths
		}
		open("tls::handshake_client", word("tls::protocol_version", 0x304), word("tls::ciphersuite", 0x1302))
		open("tls::key_exchange", word("tls::group", group))
		open("pk::generate", text("pk::algorithm", "ECDH (X25519)"))
		open("tls::key_exchange", word("tls::group", group))
		open("pk::derive", text("pk::algorithm", "ECDH (X25519)"))
		open("tls::verify", word("tls::signature_algorithm", 0x403))
		open("pk::verify", text("pk::algorithm", "EC/ECDSA"), text("pk::curve", "SECP256R1"), text("pk::hash", "SHA256"))
		open("app::long", text("app::text", strings.Repeat("long ", 30)))
	}
	m.Flush()
}

func TestMappedSpansAreTheSame(t *testing.T) {
	var ours wire
	e := newExporter(t, &ours)
	of := make(map[uint64]int) // spans by pattern
	mapped(t, 50, func(_ int, spans []sdktrace.ReadOnlySpan) {
		for _, s := range spans {
			number, _, _ := s.(interface{ Pattern() (uint64, int, string) }).Pattern()
			of[number]++
		}
		checkSameOf(t, &ours, e, spans)
	})
	again := 0
	for number, n := range of {
		if number != 0 {
			again += n - 1
		}
	}
	if again < 200 {
		t.Errorf("of %v spans by pattern only %d had a template: the test is too weak", of, again)
	}
}

// Memory of spans that were released serves others, and what waits meanwhile stays as it is: also what is sent twice.
func TestReleasedMemoryIsUsedAgain(t *testing.T) {
	var ours, theirs wire
	e := newExporter(t, &ours)
	type tree struct {
		spans []sdktrace.ReadOnlySpan
		want  *collector.ExportTraceServiceRequest
	}
	var waiting []tree
	random := rand.New(rand.NewPCG(1, 2))
	deliver := func(i int) {
		got, err := sent(t, &ours, e, waiting[i].spans)
		if err != nil {
			t.Fatal(err)
		}
		if !proto.Equal(got, waiting[i].want) {
			t.Fatalf("sent\n%v\nthe SDK sends\n%v", got, waiting[i].want)
		}
	}
	mapped(t, 3000, func(_ int, spans []sdktrace.ReadOnlySpan) {
		want, err := sent(t, &theirs, otlptrace.NewUnstarted(&theirs), spans)
		if err != nil {
			t.Fatal(err)
		}
		held, err := e.Encode(spans)
		if err != nil {
			t.Fatal(err)
		}
		waiting = append(waiting, tree{held, want})
		for len(waiting) > 0 && random.IntN(300) < len(waiting) {
			i := random.IntN(min(len(waiting), 100)) // some stay for long
			deliver(i)
			if random.IntN(4) > 0 {
				e.Release(waiting[i].spans)
				waiting = slices.Delete(waiting, i, i+1)
			}
		}
	})
	for i := range waiting {
		deliver(i)
	}
}
