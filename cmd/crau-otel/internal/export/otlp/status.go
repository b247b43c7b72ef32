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

// refusal interprets a failed call. The codes are those of the OTLP specification, "OTLP/gRPC Response", "Failures".
// According to it, RESOURCE_EXHAUSTED without RetryInfo must not be retried, but many receivers use that for a rate
// that is too high, and some for a message that is too large.
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
		// unless the size is refused
	default:
		return refused
	}
	if !hasDelay && refusesSize(s) {
		refused.Action = export.Split
	}
	return refused
}

// retryDelay returns how long the receiver asks to wait, if it does.
func retryDelay(s *status.Status) (delay time.Duration, ok bool) {
	for _, detail := range s.Details() {
		if info, ok := detail.(*errdetails.RetryInfo); ok {
			return max(0, info.GetRetryDelay().AsDuration()), true
		}
	}
	return 0, false
}

// refusesSize reports whether the message says that the size was refused, for which gRPC has no code.
func refusesSize(s *status.Status) bool {
	text := strings.ToLower(s.Message())
	for _, phrase := range refusedSizes[s.Code()] {
		if strings.Contains(text, phrase) {
			return true
		}
	}
	return false
}

// refusedSizes are the texts, in lower case, of the gRPC libraries that refuse a size.
var refusedSizes = map[codes.Code][]string{
	codes.ResourceExhausted: {
		"larger than max",                             // Go, C++, Node
		"exceeds maximum size",                        // Java
		"exceeds the maximum configured message size", // .NET
		"message length too large",                    // Rust
	},
	codes.OutOfRange: {"message length too large"}, // Rust
	// A proxy, as grpc-go puts the answer into words.
	codes.Unknown: {"unexpected http status code received from server: 413 "},
}
