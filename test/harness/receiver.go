// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	metricscollector "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc"
	_ "google.golang.org/grpc/encoding/gzip" // registers the decompressor for clients that compress
)

// ReceiverConfig configures a Receiver. With the zero value, the receiver listens on a free loopback port, stores
// everything it receives and accepts every call.
type ReceiverConfig struct {
	// Address is the address to listen on. If it is empty, the receiver listens on "127.0.0.1:0".
	Address string
	// Listener is used for the first start of the receiver instead of a new listener, if it is not nil.
	Listener net.Listener
	// Answer decides how calls that export spans are answered, and AnswerMetrics how calls that export metrics are; the
	// latter get a Call without spans. nil accepts all calls. Metrics are stored unless the answer is an error.
	Answer, AnswerMetrics Answer
	// Keep decides which accepted spans are stored; nil stores all of them. It must be safe for concurrent use.
	Keep func(*Span) bool
	// Options are passed to the gRPC server, for example credentials, or limits on message sizes or connection ages.
	Options []grpc.ServerOption
	// CountOnly makes the receiver count spans without storing any spans or metrics, so that it takes little of the CPU
	// time that a benchmark measures. Answer is not called.
	CountOnly bool
}

// Receiver is an OTLP/gRPC server for tests.
type Receiver struct {
	cfg     ReceiverConfig
	address string

	// Counters of exported spans: calls, their uncompressed sizes in bytes (only if CountOnly is set), and accepted
	// spans.
	Calls, Bytes, Accepted atomic.Uint64

	// Metrics stores the metrics that were received.
	Metrics Metrics

	mu       sync.Mutex
	server   *grpc.Server
	listener net.Listener
	spans    []*Span
	arrivals []time.Time // time of arrival of each element of spans
}

// NewReceiver starts a receiver. Close stops it.
func NewReceiver(cfg ReceiverConfig) (*Receiver, error) {
	r := &Receiver{cfg: cfg, address: cfg.Address}
	r.Metrics.answer = cfg.AnswerMetrics
	if r.address == "" {
		r.address = "127.0.0.1:0"
	}
	return r, r.Listen()
}

// Listen starts a receiver again on the same address, after Close has stopped it.
func (r *Receiver) Listen() error {
	listener := r.cfg.Listener
	r.cfg.Listener = nil
	if listener == nil {
		var err error
		if listener, err = net.Listen("tcp", r.address); err != nil {
			return fmt.Errorf("start receiver: %w", err)
		}
	}
	var server *grpc.Server
	if r.cfg.CountOnly {
		server = r.countingServer()
	} else {
		server = grpc.NewServer(r.cfg.Options...)
		collector.RegisterTraceServiceServer(server, traceService{receiver: r})
		metricscollector.RegisterMetricsServiceServer(server, &r.Metrics)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.address = listener.Addr().String()
	r.server, r.listener = server, listener
	go server.Serve(listener) //nolint:errcheck // returns when Close is called
	return nil
}

// Close closes the receiver's connections and stops listening. The spans and metrics received so far remain available.
func (r *Receiver) Close() {
	r.mu.Lock()
	server, listener := r.server, r.listener
	r.mu.Unlock()
	server.Stop()
	_ = listener.Close() // Stop does not close the listener if Serve has not been called yet
}

// Endpoint returns the receiver's URL, for OTEL_EXPORTER_OTLP_ENDPOINT.
func (r *Receiver) Endpoint() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return "http://" + r.address
}

// Address returns the receiver's host and port.
func (r *Receiver) Address() string { return strings.TrimPrefix(r.Endpoint(), "http://") }

// Spans returns the spans that were accepted and stored, in the order of their arrival.
func (r *Receiver) Spans() []*Span {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]*Span(nil), r.spans...)
}

// WaitSpans waits until n spans have been stored and returns the arrival time of the nth.
func (r *Receiver) WaitSpans(n int, timeout time.Duration) (time.Time, error) {
	for deadline := time.Now().Add(timeout); ; time.Sleep(10 * time.Millisecond) {
		r.mu.Lock()
		got := len(r.arrivals)
		if got >= n {
			defer r.mu.Unlock()
			return r.arrivals[n-1], nil
		}
		r.mu.Unlock()
		if time.Now().After(deadline) {
			return time.Time{}, fmt.Errorf("wait for spans: %d after %s, want %d", got, timeout, n)
		}
	}
}

// WaitCalls waits until n calls have been received; they need not have been answered.
func (r *Receiver) WaitCalls(n uint64, timeout time.Duration) error {
	for deadline := time.Now().Add(timeout); r.Calls.Load() < n; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("wait for calls: %d after %s, want %d", r.Calls.Load(), timeout, n)
		}
	}
	return nil
}

// traceService implements the OTLP trace service.
type traceService struct {
	collector.UnimplementedTraceServiceServer
	receiver *Receiver
}

// Export implements the OTLP trace service. It answers a call as the receiver's configuration says.
func (s traceService) Export(ctx context.Context, req *collector.ExportTraceServiceRequest) (
	*collector.ExportTraceServiceResponse, error,
) {
	r := s.receiver
	call := Call{Number: int(r.Calls.Add(1)), Spans: parseSpans(req.ResourceSpans)}
	var reply Reply
	if r.cfg.Answer != nil {
		reply = r.cfg.Answer(ctx, call)
	}
	if reply.Err != nil {
		return nil, reply.Err
	}
	accepted := call.Spans[:max(0, len(call.Spans)-reply.Rejected)]
	r.mu.Lock()
	for _, span := range accepted {
		if r.cfg.Keep != nil && !r.cfg.Keep(span) {
			continue
		}
		r.spans = append(r.spans, span)
		r.arrivals = append(r.arrivals, time.Now())
	}
	r.mu.Unlock()
	r.Accepted.Add(uint64(len(accepted)))
	return reply.response(), nil
}
