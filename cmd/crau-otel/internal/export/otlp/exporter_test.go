// SPDX-License-Identifier: Apache-2.0

package otlp_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	sdkresource "go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/export"
	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/export/otlp"
	"github.com/crau-otel/crau-otel/mapping"
	"github.com/crau-otel/crau-otel/tracer/event"
)

// wire records the sent bytes. It is the connection of an [otlp.Exporter], or the client of the SDK's exporter.
type wire struct {
	sent   []byte
	err    error
	closed int
}

func (w *wire) Start(context.Context) error { return nil }

func (w *wire) Stop(context.Context) error { return nil }

func (w *wire) UploadTraces(_ context.Context, spans []*tracepb.ResourceSpans) error {
	if w.err != nil {
		return w.err
	}
	var err error
	w.sent, err = proto.MarshalOptions{}.MarshalAppend(w.sent[:0], &collector.ExportTraceServiceRequest{ResourceSpans: spans})
	return err
}

func (w *wire) Close() error { w.closed++; return w.err }

func (w *wire) Invoke(_ context.Context, method string, args, _ any, opts ...grpc.CallOption) error {
	if w.err != nil {
		return w.err
	}
	if method != collector.TraceService_Export_FullMethodName {
		return fmt.Errorf("method is %s", method)
	}
	for _, opt := range opts {
		if codec, ok := opt.(grpc.ForceCodecV2CallOption); ok {
			data, err := codec.CodecV2.Marshal(args)
			if err != nil {
				return err
			}
			w.sent = w.sent[:0]
			for _, buffer := range data {
				w.sent = append(w.sent, buffer.ReadOnlyData()...)
			}
			data.Free()
			return nil
		}
	}
	return errors.New("no codec")
}

func newExporter(t testing.TB, connection otlp.Connection) *otlp.Exporter {
	t.Helper()
	e, err := otlp.New(otlp.Config{Connection: connection})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func encode(e *otlp.Exporter, trees []mapping.Tree) (batches []export.Batch, err error) {
	for _, t := range trees {
		b, err := e.Encode(t)
		if err != nil {
			return nil, err
		}
		batches = append(batches, b)
	}
	return batches, nil
}

// exportTrees exports trees in one call.
func exportTrees(ctx context.Context, e *otlp.Exporter, trees ...mapping.Tree) error {
	batches, err := encode(e, trees)
	if err != nil {
		return err
	}
	defer func() {
		for _, b := range batches {
			b.Release()
		}
	}()
	return e.Export(ctx, batches)
}

// received returns the sent message as a receiver decodes it, with sorted resources, because the SDK sends them in
// random order.
func received(t *testing.T, w *wire) *collector.ExportTraceServiceRequest {
	t.Helper()
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
	return &request
}

// checkSame checks that the exporter sends the same message as the SDK's exporter.
func checkSame(t *testing.T, trees ...mapping.Tree) {
	t.Helper()
	var ours wire
	checkSameOf(t, &ours, newExporter(t, &ours), trees...)
}

func checkSameOf(t *testing.T, ours *wire, e *otlp.Exporter, trees ...mapping.Tree) {
	t.Helper()
	var theirs wire
	err, wantErr := exportTrees(t.Context(), e, trees...), otlptrace.NewUnstarted(&theirs).ExportSpans(t.Context(), stubs(trees...))
	if (err == nil) != (wantErr == nil) {
		t.Fatalf("error is %v, the SDK's %v", err, wantErr)
	}
	if wantErr != nil {
		return
	}
	if got, want := received(t, ours), received(t, &theirs); !proto.Equal(got, want) {
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
		var trees []mapping.Tree
		for range 1 + s.byte()%6 {
			trees = append(trees, s.tree(3))
		}
		checkSame(t, trees...)
		var w wire
		if err := otlptrace.NewUnstarted(&w).ExportSpans(t.Context(), stubs(trees...)); err != nil {
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
		trees := []mapping.Tree{s.tree(3)}
		for len(s.b) > 0 {
			trees = append(trees, s.tree(3))
		}
		checkSame(t, trees...)
	})
}

// Spans are encoded correctly around the sizes at which their length takes another byte: 128, 16384 and 2097152.
func TestLengthsOfSpansAtEachByte(t *testing.T) {
	for _, around := range []int{0, 127, 128, 1 << 14, 1 << 21} {
		for n := max(0, around-150); n < around+10; n++ {
			long := strings.Repeat("x", n)
			checkSame(t, mapping.Tree{Spans: []mapping.Span{{Name: long}, {Name: "next"}}})
			if around <= 1<<14 {
				var span mapping.Span
				span.SetAttributes([]attribute.KeyValue{attribute.String("", long), attribute.StringSlice("k", []string{long, ""})})
				checkSame(t, mapping.Tree{Spans: []mapping.Span{span}})
			}
			if t.Failed() {
				t.Fatalf("%d bytes", n)
			}
		}
	}
}

func TestHandshakesAreTheSame(t *testing.T) {
	checkSame(t, handshake(2048))
	checkSame(t, handshake(3), handshake(2)) // the two resources are equal, but not the same in memory
}

func TestErrors(t *testing.T) {
	if _, err := otlp.New(otlp.Config{}); err == nil || err.Error() != "otlp: a connection is required" {
		t.Errorf("error is %v", err)
	}
	w := wire{err: status.Error(codes.Unavailable, "connection refused")}
	e := newExporter(t, &w)
	if err := exportTrees(t.Context(), e, handshake(1)); status.Code(err) != codes.Unavailable {
		t.Errorf("error is %v", err)
	}
	if err := e.Shutdown(t.Context()); !errors.Is(err, w.err) || w.closed != 1 {
		t.Errorf("error is %v, closed %d times", err, w.closed)
	}
}

// Text that is not UTF-8 is rejected, both in fields that package otlp encodes and in fields that protobuf encodes.
func TestInvalidUTF8(t *testing.T) {
	const bad = "\xff"
	with := func(attrs ...attribute.KeyValue) mapping.Tree {
		var span mapping.Span
		span.SetAttributes(attrs)
		return mapping.Tree{Spans: []mapping.Span{{}, span}}
	}
	for _, tree := range []mapping.Tree{
		{Spans: []mapping.Span{{}, {Name: bad}}},
		{Spans: []mapping.Span{{Status: sdktrace.Status{Description: bad}}}},
		with(attribute.String(bad, "value")),
		with(attribute.String("key", bad)),
		with(attribute.StringSlice("key", []string{"fine", bad})),
		with(attribute.Map("map", attribute.String("key", bad))),
		{Spans: []mapping.Span{{}}, Resource: sdkresource.NewSchemaless(attribute.String("service.name", bad))},
		{Spans: []mapping.Span{{}}, Scope: instrumentation.Scope{Name: bad}},
	} {
		checkSame(t, handshake(1), tree)
		var w wire
		if _, err := newExporter(t, &w).Encode(tree); err == nil {
			t.Errorf("%+v can be encoded", tree)
		}
	}
}

// BenchmarkExport measures encoding and sending, in comparison with the SDK's exporter. Both send one message with 293
// trees of 7 spans, as the mapper makes them for handshakes.
func BenchmarkExport(b *testing.B) {
	const trees = 293
	mapped(b, 3, func(i int, tree mapping.Tree) {
		if i != 2 {
			return
		}
		spans := trees * len(tree.Spans)
		var w wire
		run := func(name string, f func() error) {
			b.Run(name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if err := f(); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*spans), "ns/span")
				b.ReportMetric(float64(len(w.sent))/float64(spans), "B/span")
			})
		}
		theirs, all := otlptrace.NewUnstarted(&w), stubs(slices.Repeat([]mapping.Tree{tree}, trees)...)
		run("SDK", func() error { return theirs.ExportSpans(b.Context(), all) })
		ours, copies := newExporter(b, &w), slices.Repeat([]mapping.Tree{tree}, trees)
		run("ours", func() error { return exportTrees(b.Context(), ours, copies...) })
	})
}

// mapped calls f with trees of TLS 1.3 clients, as the mapper makes them. Every ninth tree has spans that differ from
// those of the other trees.
func mapped(t testing.TB, handshakes int, f func(i int, tree mapping.Tree)) {
	t.Helper()
	trees := 0
	m, err := mapping.New(mapping.Config{
		Wall: func(boot uint64) time.Time { return time.Unix(1790000000, int64(boot)) },
		Sink: func(tree mapping.Tree) { f(trees, tree); trees++ },
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
			group += uint64(i) << 16 // makes the names of the group, and so the encoded spans, longer
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
	of := make(map[uint64]int) // number of spans by pattern
	mapped(t, 50, func(_ int, tree mapping.Tree) {
		for i := range tree.Spans {
			number, _, _ := tree.Spans[i].Pattern()
			of[number]++
		}
		checkSameOf(t, &ours, e, tree)
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

// When the memory of released batches is reused, batches that still wait do not change, even if they are sent twice.
func TestReleasedMemoryIsUsedAgain(t *testing.T) {
	var ours, theirs wire
	e := newExporter(t, &ours)
	type tree struct {
		batch export.Batch
		want  *collector.ExportTraceServiceRequest
	}
	var waiting []tree
	random := rand.New(rand.NewPCG(1, 2))
	deliver := func(i int) {
		if err := e.Export(t.Context(), []export.Batch{waiting[i].batch}); err != nil {
			t.Fatal(err)
		}
		if got := received(t, &ours); !proto.Equal(got, waiting[i].want) {
			t.Fatalf("sent\n%v\nthe SDK sends\n%v", got, waiting[i].want)
		}
	}
	mapped(t, 3000, func(_ int, mapped mapping.Tree) {
		if err := otlptrace.NewUnstarted(&theirs).ExportSpans(t.Context(), stubs(mapped)); err != nil {
			t.Fatal(err)
		}
		batch, err := e.Encode(mapped)
		if err != nil {
			t.Fatal(err)
		}
		waiting = append(waiting, tree{batch, received(t, &theirs)})
		for len(waiting) > 0 && random.IntN(300) < len(waiting) {
			i := random.IntN(min(len(waiting), 100)) // batches after the first 100 wait for a long time
			deliver(i)
			if random.IntN(4) > 0 {
				waiting[i].batch.Release()
				waiting = slices.Delete(waiting, i, i+1)
			}
		}
	})
	for i := range waiting {
		deliver(i)
	}
}

// When a batch is divided, each part is sent in the same form as a whole batch with its spans.
func TestPartsOfABatchAreSentAsTheWhole(t *testing.T) {
	var ours, theirs wire
	e := newExporter(t, &ours)
	tree := handshake(20)
	whole, err := e.Encode(tree)
	if err != nil {
		t.Fatal(err)
	}
	_, all := whole.Size()
	for _, limit := range []struct{ spans, bytes, parts int }{
		{20, 1 << 20, 1},
		{100, all, 1},
		{19, 1 << 20, 2},
		{10, 1 << 20, 2},
		{1, 1 << 20, 20},
		{3, 1 << 20, 7},
		{20, 0, 20},
		{20, 1000, 9},
		{0, 0, 20},
		{20, all - 1, 2},
	} {
		parts, sent := 0, 0
		for rest := whole; rest != nil; parts++ {
			var first export.Batch
			first, rest = rest.Split(limit.spans, limit.bytes)
			spans, bytes := first.Size()
			if spans > max(1, limit.spans) || spans > 1 && bytes > limit.bytes {
				t.Errorf("%+v: a part of %d spans, %d bytes", limit, spans, bytes)
			}
			part := tree
			part.Spans = tree.Spans[sent : sent+spans]
			sent += spans
			if err := errors.Join(e.Export(t.Context(), []export.Batch{first}),
				otlptrace.NewUnstarted(&theirs).ExportSpans(t.Context(), stubs(part))); err != nil {
				t.Fatal(err)
			}
			if got, want := received(t, &ours), received(t, &theirs); !proto.Equal(got, want) {
				t.Fatalf("%+v: sent\n%v\nthe SDK sends\n%v", limit, got, want)
			}
		}
		if sent != 20 || parts != limit.parts {
			t.Errorf("%+v: %d spans in %d parts", limit, sent, parts)
		}
	}
}
