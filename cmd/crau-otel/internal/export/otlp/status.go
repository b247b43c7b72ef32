// SPDX-License-Identifier: Apache-2.0

package otlp

import (
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/export"
)

// refusal returns what a call that failed means. The codes are those of the OTLP specification, "OTLP/gRPC Response",
// "Failures". It says not to retry RESOURCE_EXHAUSTED without RetryInfo, but many receivers use that for a
// rate that is too high, and some for a message that is too large.
func refusal(err error) *export.RefusedError {
	s := status.Convert(err)
	after, asked := retryDelay(s)
	refused := &export.RefusedError{Err: err, After: after}
	switch s.Code() {
	case codes.Canceled, codes.DeadlineExceeded, codes.Aborted, codes.OutOfRange, codes.Unavailable, codes.DataLoss:
		refused.Action = export.Retry
	case codes.ResourceExhausted:
		refused.Action = export.Slow
		if asked {
			refused.Action = export.Retry
		}
	default:
		return refused
	}
	if !asked && refusesSize(s) {
		refused.Action = export.Split
	}
	return refused
}

// retryDelay returns the time that the receiver asks to wait, if it does.
func retryDelay(s *status.Status) (delay time.Duration, ok bool) {
	for _, detail := range s.Details() {
		if info, ok := detail.(*errdetails.RetryInfo); ok {
			return max(0, info.GetRetryDelay().AsDuration()), true
		}
	}
	return 0, false
}

// refusesSize reports whether the message says that the size was refused, for which gRPC has no code. The texts are
// those of the gRPC libraries: "message larger than max" (Go, C++, Node), "exceeds maximum size" (Java), "message
// length too large" (Rust, with OUT_OF_RANGE).
func refusesSize(s *status.Status) bool {
	if c := s.Code(); c != codes.ResourceExhausted && c != codes.OutOfRange {
		return false
	}
	text := strings.ToLower(s.Message())
	for _, phrase := range []string{"larger than max", "exceeds maximum size", "message length too large"} {
		if strings.Contains(text, phrase) {
			return true
		}
	}
	return false
}
