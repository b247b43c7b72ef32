// SPDX-License-Identifier: Apache-2.0

package otlp_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/export"
	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/export/otlp"
)

// retryAfter returns the error of a receiver that asks to wait.
func retryAfter(code codes.Code, text string, after time.Duration) error {
	s, err := status.New(code, text).WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(after)})
	if err != nil {
		panic(err)
	}
	return s.Err()
}

// For each status code, the action is what the OTLP specification requires, except if the receiver refuses the size or
// the rate of calls.
func TestMeaningOfStatuses(t *testing.T) {
	for _, c := range []struct {
		err    error
		action export.Action
		after  time.Duration
	}{
		{errors.New("something"), export.GiveUp, 0},
		{status.Error(codes.Canceled, ""), export.Retry, 0},
		{status.Error(codes.Unknown, ""), export.GiveUp, 0},
		{status.Error(codes.InvalidArgument, ""), export.GiveUp, 0},
		{status.Error(codes.DeadlineExceeded, ""), export.Retry, 0},
		{status.Error(codes.NotFound, ""), export.GiveUp, 0},
		{status.Error(codes.AlreadyExists, ""), export.GiveUp, 0},
		{status.Error(codes.PermissionDenied, ""), export.GiveUp, 0},
		{status.Error(codes.Unauthenticated, ""), export.GiveUp, 0},
		{status.Error(codes.FailedPrecondition, ""), export.GiveUp, 0},
		{status.Error(codes.Aborted, ""), export.Retry, 0},
		{status.Error(codes.OutOfRange, ""), export.Retry, 0},
		{status.Error(codes.Unimplemented, ""), export.GiveUp, 0},
		{status.Error(codes.Internal, ""), export.GiveUp, 0},
		{status.Error(codes.Unavailable, ""), export.Retry, 0},
		{status.Error(codes.DataLoss, ""), export.Retry, 0},
		{status.Error(codes.ResourceExhausted, ""), export.Slow, 0},
		{status.Error(codes.ResourceExhausted, "rate limit exceeded"), export.Slow, 0},
		{retryAfter(codes.ResourceExhausted, "slow down", time.Millisecond), export.Retry, time.Millisecond},
		{retryAfter(codes.ResourceExhausted, "slow down", 0), export.Retry, 0},
		{retryAfter(codes.Unavailable, "restarting", 8*time.Second), export.Retry, 8 * time.Second},
		{retryAfter(codes.Unavailable, "restarting", -time.Second), export.Retry, 0},
		{retryAfter(codes.Internal, "bug", time.Second), export.GiveUp, time.Second},
		{status.Error(codes.ResourceExhausted, "grpc: received message larger than max (5000000 vs. 4194304)"), export.Split, 0},
		{status.Error(codes.ResourceExhausted, "gRPC message exceeds maximum size 4194304: 5000000"), export.Split, 0},
		{status.Error(codes.OutOfRange, "Error, decoded message length too large: found 5 bytes"), export.Split, 0},
		{status.Error(codes.ResourceExhausted, "Received message exceeds the maximum configured message size."), export.Split, 0},
		{status.Error(codes.Unknown, "unexpected HTTP status code received from server: 413 (Request Entity Too Large)"), export.Split, 0},
		{status.Error(codes.Unknown, "unexpected HTTP status code received from server: 418 (I'm a teapot)"), export.GiveUp, 0},
		{status.Error(codes.OutOfRange, "larger than max"), export.Retry, 0},
		{status.Error(codes.InvalidArgument, "message larger than max"), export.GiveUp, 0},
		{retryAfter(codes.ResourceExhausted, "queue larger than max", time.Second), export.Retry, time.Second},
		{fmt.Errorf("wrapped: %w", status.Error(codes.Unavailable, "")), export.Retry, 0},
		{fmt.Errorf("wrapped: %w", status.Error(codes.Internal, "")), export.GiveUp, 0},
	} {
		err := exportTrees(t.Context(), newExporter(t, &wire{err: c.err}), handshake(1))
		var refused *export.RefusedError
		if !errors.As(err, &refused) || refused.Action != c.action || refused.After != c.after || !errors.Is(err, c.err) {
			t.Errorf("%v: %+v", c.err, refused)
		}
	}
}

func TestReceiversThatTakeNoMetrics(t *testing.T) {
	for _, c := range []struct {
		err  error
		want bool
	}{
		{status.Error(codes.Unimplemented, "unknown service opentelemetry.proto.collector.metrics.v1.MetricsService"), true},
		{fmt.Errorf("upload: %w", status.Error(codes.Unimplemented, "")), true},
		{status.Error(codes.Unimplemented, `grpc: Decompressor is not installed for grpc-encoding "gzip"`), false},
		{status.Error(codes.Unavailable, ""), false},
		{nil, false},
	} {
		if got := otlp.TakesNoMetrics(c.err); got != c.want {
			t.Errorf("%v: %v, want %v", c.err, got, c.want)
		}
	}
}
