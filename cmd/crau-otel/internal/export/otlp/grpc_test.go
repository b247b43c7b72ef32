// SPDX-License-Identifier: Apache-2.0

package otlp_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	_ "google.golang.org/grpc/encoding/gzip" // registers gzip for the receiver
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/export"
	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/export/otlp"
)

// server is a receiver that records the latest request and answers as configured by its fields.
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

// The environment configures the connection, and Export returns the receiver's answers.
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
	e, err := otlp.Open("agent/1.0")
	if err != nil {
		t.Fatal(err)
	}
	spans := handshake(1000)

	s.answer = &collector.ExportTraceServiceResponse{}
	if err := exportTrees(t.Context(), e, spans); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"authorization": "Bearer secret", "content-type": "application/grpc"} {
		if got := s.headers.Get(name); len(got) != 1 || got[0] != want {
			t.Errorf("headers are %v", s.headers)
		}
	}
	if got := s.headers.Get("user-agent"); len(got) != 1 || !strings.HasPrefix(got[0], "agent/1.0 ") {
		t.Errorf("headers are %v", s.headers)
	}
	if n := len(s.request.ResourceSpans[0].ScopeSpans[0].Spans); n != len(spans.Spans) {
		t.Errorf("%d spans arrived, want %d", n, len(spans.Spans))
	}
	if p := s.payload; p.CompressedLength > p.Length/10 {
		t.Errorf("%d bytes were sent as %d", p.Length, p.CompressedLength)
	}
	s.answer.PartialSuccess = &collector.ExportTracePartialSuccess{RejectedSpans: 2, ErrorMessage: "no room"}
	var partial *export.PartialError
	if err := exportTrees(t.Context(), e, spans); !errors.As(err, &partial) || *partial != (export.PartialError{Rejected: 2, Message: "no room"}) {
		t.Errorf("error is %v", err)
	}
	s.err = status.Error(codes.PermissionDenied, "who are you")
	if err := exportTrees(t.Context(), e, spans); status.Code(err) != codes.PermissionDenied || !strings.HasPrefix(err.Error(), "traces export: ") {
		t.Errorf("error is %v", err)
	}
	if err := e.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}
