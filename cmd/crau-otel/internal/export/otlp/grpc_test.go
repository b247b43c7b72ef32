// SPDX-License-Identifier: Apache-2.0

package otlp_test

import (
	"context"
	"net"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	_ "google.golang.org/grpc/encoding/gzip" // for the receiver
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
)

// server is a receiver that notes what it is sent and answers as it is told.
type server struct {
	collector.UnimplementedTraceServiceServer
	answer  *collector.ExportTraceServiceResponse
	err     error
	request *collector.ExportTraceServiceRequest
	headers metadata.MD
	payload *stats.InPayload
}

func (s *server) Export(ctx context.Context, r *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	s.request = r
	s.headers, _ = metadata.FromIncomingContext(ctx)
	return s.answer, s.err
}

func (s *server) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context   { return ctx }
func (s *server) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (s *server) HandleConn(context.Context, stats.ConnStats)                       {}
func (s *server) HandleRPC(_ context.Context, of stats.RPCStats) {
	if in, ok := of.(*stats.InPayload); ok {
		s.payload = in
	}
}

// What the environment says of the connection, and what the receiver answers, mean what they mean to the SDK's exporter.
func TestOverGRPC(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{}
	g := grpc.NewServer(grpc.StatsHandler(s))
	collector.RegisterTraceServiceServer(g, s)
	go g.Serve(l) //nolint:errcheck // ends by Stop
	defer g.Stop()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"+l.Addr().String())
	t.Setenv("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "authorization=Bearer%20secret")
	t.Setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
	noRetry := otlptracegrpc.WithRetry(otlptracegrpc.RetryConfig{})
	e := newExporter(t, otlptracegrpc.NewClient(noRetry))
	small := newExporter(t, otlptracegrpc.NewClient(noRetry, otlptracegrpc.WithMaxRequestSize(1000)))
	spans := handshake(1000)

	s.answer = &collector.ExportTraceServiceResponse{}
	if err := e.ExportSpans(t.Context(), spans); err != nil {
		t.Fatal(err)
	}
	if got := s.headers.Get("authorization"); len(got) != 1 || got[0] != "Bearer secret" {
		t.Errorf("headers are %v", s.headers)
	}
	if n := len(s.request.ResourceSpans[0].ScopeSpans[0].Spans); n != len(spans) {
		t.Errorf("%d spans arrived, want %d", n, len(spans))
	}
	if p := s.payload; p.CompressedLength > p.Length/10 {
		t.Errorf("%d bytes were sent as %d", p.Length, p.CompressedLength)
	}
	s.answer.PartialSuccess = &collector.ExportTracePartialSuccess{RejectedSpans: 2, ErrorMessage: "no room"}
	if err := e.ExportSpans(t.Context(), spans); err == nil || !strings.Contains(err.Error(), "no room (2 spans rejected)") {
		t.Errorf("error is %v", err)
	}
	s.err = status.Error(codes.PermissionDenied, "who are you")
	if err := e.ExportSpans(t.Context(), spans); status.Code(err) != codes.PermissionDenied || !strings.HasPrefix(err.Error(), "traces export: ") {
		t.Errorf("error is %v", err)
	}
	if err := small.ExportSpans(t.Context(), spans); err == nil || !strings.Contains(err.Error(), "exceeded 1000 bytes") {
		t.Errorf("error is %v", err)
	}
	for _, e := range []interface{ Shutdown(context.Context) error }{e, small} {
		if err := e.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	}
}
