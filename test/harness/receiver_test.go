// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"context"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	resource "go.opentelemetry.io/proto/otlp/resource/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
)

func request(keys ...string) *collector.ExportTraceServiceRequest {
	text := func(s string) *common.AnyValue {
		return &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: s}}
	}
	var attributes []*common.KeyValue
	for _, key := range keys {
		attributes = append(attributes, &common.KeyValue{Key: key, Value: text("value")})
	}
	return &collector.ExportTraceServiceRequest{ResourceSpans: []*trace.ResourceSpans{{
		Resource:   &resource.Resource{Attributes: []*common.KeyValue{{Key: "service.name", Value: text("service")}}},
		ScopeSpans: []*trace.ScopeSpans{{Spans: []*trace.Span{{Name: "first", Attributes: attributes}, {Name: "second"}}}},
	}}}
}

func client(t *testing.T, r *Receiver) collector.TraceServiceClient {
	t.Helper()
	connection, err := grpc.NewClient(r.Address(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	return collector.NewTraceServiceClient(connection)
}

func TestReceiverKeepsWhatItAccepts(t *testing.T) {
	r := Receive(t, ReceiverConfig{Answer: Script(
		Fail(codes.Unavailable, "starting"),
		FailFor(codes.ResourceExhausted, "slow down", 3*time.Second),
		Hang,
		Reject(1, "too old"),
		nil,
	)})
	c := client(t, r.Receiver)
	if _, err := c.Export(t.Context(), request()); status.Code(err) != codes.Unavailable {
		t.Errorf("first call: %v", err)
	}
	_, err := c.Export(t.Context(), request())
	details := status.Convert(err).Details()
	if info, ok := details[0].(*errdetails.RetryInfo); !ok || info.RetryDelay.AsDuration() != 3*time.Second {
		t.Errorf("second call: %v, details %v", err, details)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := c.Export(ctx, request()); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("third call: %v", err)
	}
	response, err := c.Export(t.Context(), request("a", "b", "a"))
	if err != nil || response.PartialSuccess.RejectedSpans != 1 || response.PartialSuccess.ErrorMessage != "too old" {
		t.Errorf("fourth call: %v, %v", response, err)
	}
	if response, err = c.Export(t.Context(), request()); err != nil || response.PartialSuccess != nil {
		t.Errorf("fifth call: %v, %v", response, err)
	}
	spans := r.Spans()
	if len(spans) != 3 || spans[0].Name != "first" || spans[1].Name != "first" || spans[2].Name != "second" {
		t.Fatalf("spans %+v", spans)
	}
	if s := spans[0]; s.Resource["service.name"] != "service" || s.Attributes["a"] != "value" || s.Parent != "" ||
		len(s.Repeated) != 1 || s.Repeated[0] != "a" {
		t.Errorf("first span %+v", s)
	}
}

func TestReceiverCountsWithoutDecoding(t *testing.T) {
	r := Receive(t, ReceiverConfig{CountOnly: true})
	c := client(t, r.Receiver)
	for range 2 {
		if _, err := c.Export(t.Context(), request("key")); err != nil {
			t.Fatal(err)
		}
	}
	if r.Calls.Load() != 2 || r.Accepted.Load() != 4 || r.Bytes.Load() == 0 {
		t.Errorf("%d calls, %d spans, %d bytes", r.Calls.Load(), r.Accepted.Load(), r.Bytes.Load())
	}
}

func TestReceiverListensAgain(t *testing.T) {
	r := Receive(t, ReceiverConfig{})
	r.Close()
	if err := r.Listen(); err != nil {
		t.Fatal(err)
	}
	if _, err := client(t, r.Receiver).Export(t.Context(), request()); err != nil {
		t.Error(err)
	}
	r.WaitSpans(2, time.Second)
}
