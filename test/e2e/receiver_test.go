// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"encoding/hex"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	metricscollector "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	"google.golang.org/grpc"
)

// receiver is an OTLP/gRPC server that keeps the spans it is sent.
type receiver struct {
	collector.UnimplementedTraceServiceServer
	endpoint string
	server   *grpc.Server
	// answer, if any, decides of each call before its spans are kept.
	answer func(ctx context.Context) error

	mu    sync.Mutex
	spans []*span
	times []time.Time // when each arrived

	metrics metricsReceiver
}

func startReceiver(t *testing.T) *receiver {
	t.Helper()
	return startReceiverAt(t, "127.0.0.1:0")
}

func startReceiverAt(t *testing.T, address string) *receiver {
	t.Helper()
	return startReceiverThat(t, address, nil)
}

// startReceiverThat starts a receiver that answers as it is told.
func startReceiverThat(t *testing.T, address string, answer func(context.Context) error, opts ...grpc.ServerOption) *receiver {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer(opts...)
	r := &receiver{endpoint: "http://" + l.Addr().String(), server: s, answer: answer}
	collector.RegisterTraceServiceServer(s, r)
	metricscollector.RegisterMetricsServiceServer(s, &r.metrics)
	go s.Serve(l) //nolint:errcheck // ends by Stop
	t.Cleanup(s.Stop)
	return r
}

// Export implements the OTLP trace service.
func (r *receiver) Export(ctx context.Context, req *collector.ExportTraceServiceRequest) (
	*collector.ExportTraceServiceResponse, error,
) {
	if r.answer != nil {
		if err := r.answer(ctx); err != nil {
			return nil, err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, rs := range req.ResourceSpans {
		resource := attributes(rs.Resource.Attributes)
		for _, ss := range rs.ScopeSpans {
			for _, s := range ss.Spans {
				parent := ""
				if len(s.ParentSpanId) > 0 {
					parent = hex.EncodeToString(s.ParentSpanId)
				}
				r.spans = append(r.spans, &span{
					Trace:      hex.EncodeToString(s.TraceId),
					ID:         hex.EncodeToString(s.SpanId),
					Parent:     parent,
					Name:       s.Name,
					Kind:       strings.ToLower(strings.TrimPrefix(s.Kind.String(), "SPAN_KIND_")),
					Start:      time.Unix(0, int64(s.StartTimeUnixNano)),
					End:        time.Unix(0, int64(s.EndTimeUnixNano)),
					Attributes: attributes(s.Attributes),
					Resource:   resource,
				})
				r.times = append(r.times, time.Now())
			}
		}
	}
	return &collector.ExportTraceServiceResponse{}, nil
}

func (r *receiver) received() []*span {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]*span(nil), r.spans...)
}

// waitFor waits until n spans have arrived and returns when the last of them did.
func (r *receiver) waitFor(t *testing.T, n int, within time.Duration) time.Time {
	t.Helper()
	for deadline := time.Now().Add(within); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		r.mu.Lock()
		if len(r.times) >= n {
			defer r.mu.Unlock()
			return r.times[n-1]
		}
		r.mu.Unlock()
	}
	t.Fatalf("%d spans after %s, want %d", len(r.received()), within, n)
	return time.Time{}
}

func attributes(kvs []*common.KeyValue) map[string]any {
	m := make(map[string]any, len(kvs))
	for _, kv := range kvs {
		m[kv.Key] = value(kv.Value)
	}
	return m
}

func value(v *common.AnyValue) any {
	switch v := v.Value.(type) {
	case *common.AnyValue_StringValue:
		return v.StringValue
	case *common.AnyValue_BoolValue:
		return v.BoolValue
	case *common.AnyValue_IntValue:
		return v.IntValue
	case *common.AnyValue_ArrayValue:
		values := make([]any, len(v.ArrayValue.Values))
		for i, e := range v.ArrayValue.Values {
			values[i] = value(e)
		}
		return values
	}
	return fmt.Sprint(v.Value)
}
