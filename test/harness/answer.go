// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"context"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
)

// Call is one OTLP export call, of spans or of metrics.
type Call struct {
	Number int // position in the sequence of calls, from 1
	Spans  []*Span
}

// Reply is a receiver's answer to a call. The zero value accepts all spans.
type Reply struct {
	// Err is the gRPC status to answer with. If it is set, no span of the call is accepted.
	Err error
	// Rejected is the number that a partial success reports as rejected. In a call with spans, the last Rejected spans
	// are dropped. In a call with metrics, all of them are kept.
	Rejected int
	// Message is the error message of a partial success. If Rejected is 0, it is a warning.
	Message string
}

func (r Reply) response() *collector.ExportTraceServiceResponse {
	response := &collector.ExportTraceServiceResponse{}
	if r.Rejected > 0 || r.Message != "" {
		response.PartialSuccess = &collector.ExportTracePartialSuccess{
			RejectedSpans: int64(r.Rejected), ErrorMessage: r.Message,
		}
	}
	return response
}

// Answer decides how a receiver answers a call. It may block; ctx is cancelled when the client gives up.
type Answer func(ctx context.Context, call Call) Reply

// Script returns an Answer that uses one of answers for each of the first calls, in order, and accepts all later calls.
// A nil element accepts its call.
func Script(answers ...Answer) Answer {
	return func(ctx context.Context, call Call) Reply {
		if call.Number > len(answers) || answers[call.Number-1] == nil {
			return Reply{}
		}
		return answers[call.Number-1](ctx, call)
	}
}

// Fail returns an Answer with a gRPC status.
func Fail(code codes.Code, message string) Answer {
	return func(context.Context, Call) Reply { return Reply{Err: status.Error(code, message)} }
}

// FailFor returns an Answer with a gRPC status whose RetryInfo asks the client to retry after a delay.
func FailFor(code codes.Code, message string, after time.Duration) Answer {
	return func(context.Context, Call) Reply {
		s, err := status.New(code, message).WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(after)})
		if err != nil {
			return Reply{Err: err}
		}
		return Reply{Err: s.Err()}
	}
}

// Reject returns an Answer that accepts all spans of a call except for the last n.
func Reject(n int, message string) Answer {
	return func(_ context.Context, call Call) Reply {
		return Reply{Rejected: min(n, len(call.Spans)), Message: message}
	}
}

// Hang is an Answer that never comes: it blocks until the client gives up.
func Hang(ctx context.Context, _ Call) Reply {
	<-ctx.Done()
	return Reply{Err: ctx.Err()}
}

// Delay returns an Answer that accepts a call after a delay.
func Delay(d time.Duration) Answer {
	return func(ctx context.Context, _ Call) Reply {
		select {
		case <-time.After(d):
			return Reply{}
		case <-ctx.Done():
			return Reply{Err: ctx.Err()}
		}
	}
}
