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

// refusal returns how to proceed after a failed call. The OTLP specification defines which status codes may be retried,
// in "OTLP/gRPC Response", "Failures". It says that RESOURCE_EXHAUSTED without RetryInfo must not be retried, but many
// receivers return that code if the rate of calls is too high, and some if a message is too large.
func refusal(err error) *export.RefusedError {
	s := status.Convert(err)
	after, hasDelay := retryDelay(s)
	refused := &export.RefusedError{Err: err, After: after}
	switch s.Code() {
	case codes.Canceled, codes.DeadlineExceeded, codes.Aborted, codes.OutOfRange, codes.Unavailable, codes.DataLoss:
		refused.Action = export.Retry
	case codes.ResourceExhausted:
		refused.Action = export.Slow
		if hasDelay {
			refused.Action = export.Retry
		}
	case codes.Unknown:
		// Action stays at its zero value (give up), unless refusesSize below sets it to Split.
	default:
		return refused
	}
	if !hasDelay && refusesSize(s) {
		refused.Action = export.Split
	}
	return refused
}

// retryDelay returns how long the receiver asks to wait. ok is false if the receiver does not ask.
func retryDelay(s *status.Status) (delay time.Duration, ok bool) {
	for _, detail := range s.Details() {
		if info, ok := detail.(*errdetails.RetryInfo); ok {
			return max(0, info.GetRetryDelay().AsDuration()), true
		}
	}
	return 0, false
}

// refusesSize reports whether the text of a status says that the receiver refused the size of the call. gRPC has no
// status code for that.
func refusesSize(s *status.Status) bool {
	text := strings.ToLower(s.Message())
	for _, phrase := range refusedSizes[s.Code()] {
		if strings.Contains(text, phrase) {
			return true
		}
	}
	return false
}

// refusedSizes are parts of the texts, in lower case, with which gRPC libraries refuse the size of a message, by status
// code.
var refusedSizes = map[codes.Code][]string{
	codes.ResourceExhausted: {
		"larger than max",                             // Go, C++, Node
		"exceeds maximum size",                        // Java
		"exceeds the maximum configured message size", // .NET
		"message length too large",                    // Rust
	},
	codes.OutOfRange: {"message length too large"}, // Rust
	// The text of grpc-go if an HTTP proxy refuses the size.
	codes.Unknown: {"unexpected http status code received from server: 413 "},
}
