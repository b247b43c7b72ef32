// SPDX-License-Identifier: Apache-2.0

package export_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/export"
)

func throttled() error {
	s, err := status.New(codes.ResourceExhausted, "slow down").WithDetails(&errdetails.RetryInfo{
		RetryDelay: durationpb.New(time.Millisecond),
	})
	if err != nil {
		panic(err)
	}
	return s.Err()
}

// The OTLP specification says of each code whether to try again.
func TestRetry(t *testing.T) {
	for _, c := range []struct {
		err   error
		again bool
	}{
		{errors.New("something"), false},
		{context.DeadlineExceeded, true},
		{status.Error(codes.Canceled, ""), true},
		{status.Error(codes.Unknown, ""), false},
		{status.Error(codes.InvalidArgument, ""), false},
		{status.Error(codes.DeadlineExceeded, ""), true},
		{status.Error(codes.NotFound, ""), false},
		{status.Error(codes.AlreadyExists, ""), false},
		{status.Error(codes.PermissionDenied, ""), false},
		{status.Error(codes.Unauthenticated, ""), false},
		{status.Error(codes.ResourceExhausted, ""), false},
		{throttled(), true},
		{status.Error(codes.FailedPrecondition, ""), false},
		{status.Error(codes.Aborted, ""), true},
		{status.Error(codes.OutOfRange, ""), true},
		{status.Error(codes.Unimplemented, ""), false},
		{status.Error(codes.Internal, ""), false},
		{status.Error(codes.Unavailable, ""), true},
		{status.Error(codes.DataLoss, ""), true},
		{fmt.Errorf("traces export: %w", status.Error(codes.Unavailable, "")), true},
		{fmt.Errorf("traces export: %w", status.Error(codes.Internal, "")), false},
	} {
		t.Run(fmt.Sprint(c.err), func(t *testing.T) {
			t.Parallel()
			f := newFake()
			calls := 0
			f.on = func(context.Context, []sdktrace.ReadOnlySpan) error {
				if calls++; calls == 1 {
					return c.err
				}
				return nil
			}
			q := newQueue(t, export.Config{Exporter: f})
			q.Put(wide(1))
			want := export.Stats{Failed: spans(1)}
			if c.again {
				want = export.Stats{Exported: spans(1)}
			}
			if got := closed(t, q); got != want {
				t.Errorf("stats are %+v, want %+v", got, want)
			}
		})
	}
}

// While the receiver is away everything waits; the log says so once, and that it is over.
func TestReceiverThatComesBack(t *testing.T) {
	var log bytes.Buffer
	f := newFake()
	away := make(chan struct{})
	f.on = func(context.Context, []sdktrace.ReadOnlySpan) error {
		select {
		case <-away:
			return nil
		default:
			return status.Error(codes.Unavailable, "connection refused")
		}
	}
	q := newQueue(t, export.Config{
		Exporter: f, MaxBatch: 5, Delay: time.Millisecond, Log: slog.New(slog.NewTextHandler(&log, nil)),
	})
	for range 4 {
		q.Put(wide(5))
	}
	f.called(t)
	f.called(t)
	if got := q.Stats(); got != (export.Stats{Waiting: spans(15)}) {
		t.Errorf("stats are %+v", got)
	}
	close(away)
	if got := closed(t, q); got != (export.Stats{Exported: spans(20)}) {
		t.Errorf("stats are %+v", got)
	}
	for _, want := range []string{
		`level=WARN msg="cannot export spans yet, trying again" error="rpc error: code = Unavailable desc = connection refused"`,
		`level=INFO msg="spans are exported again" waiting_spans=15`,
	} {
		if n := strings.Count(log.String(), want); n != 1 {
			t.Errorf("%d lines with %s in\n%s", n, want, &log)
		}
	}
}

func TestShutdownEndsTheRetries(t *testing.T) {
	var log bytes.Buffer
	f := newFake()
	f.on = func(context.Context, []sdktrace.ReadOnlySpan) error {
		return status.Error(codes.Unavailable, "connection refused")
	}
	q := newQueue(t, export.Config{
		Exporter: f, MaxBatch: 1, Delay: time.Millisecond, Log: slog.New(slog.NewTextHandler(&log, nil)),
	})
	for range 50 {
		q.Put(wide(1))
	}
	f.called(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := q.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error is %v", err)
	}
	if got := q.Stats(); got != (export.Stats{Failed: spans(50)}) {
		t.Errorf("stats are %+v", got)
	}
	if n := strings.Count(log.String(), "spans are lost"); n != 1 || !strings.Contains(log.String(), "connection refused") {
		t.Errorf("%d lines say that spans are lost, want one with the reason:\n%s", n, &log)
	}
}

// A receiver that refuses everything would fill the log.
func TestLossesAreLoggedOnceInAWhile(t *testing.T) {
	var log bytes.Buffer
	f := newFake()
	f.on = func(context.Context, []sdktrace.ReadOnlySpan) error {
		return status.Error(codes.Unauthenticated, "who are you")
	}
	q := newQueue(t, export.Config{
		Exporter: f, MaxBatch: 1, Delay: time.Millisecond, Log: slog.New(slog.NewTextHandler(&log, nil)),
	})
	for range 100 {
		q.Put(wide(1))
	}
	if got := closed(t, q); got != (export.Stats{Failed: spans(100)}) {
		t.Errorf("stats are %+v", got)
	}
	if n := strings.Count(log.String(), "\n"); n != 1 || !strings.Contains(log.String(), "who are you") ||
		!strings.Contains(log.String(), "failed_spans=1\n") {
		t.Errorf("%d lines, want one with the reason:\n%s", n, &log)
	}
}

// What a receiver refuses for its size goes in parts, whole trees as long as possible.
func TestTooLarge(t *testing.T) {
	for _, c := range []struct {
		put   []int
		limit int   // spans that the receiver takes
		calls []int // spans of the calls that it took
		stats export.Stats
	}{
		{[]int{2, 2, 2, 2}, 8, []int{8}, export.Stats{Exported: spans(8)}},
		{[]int{2, 2, 2, 2}, 7, []int{4, 4}, export.Stats{Exported: spans(8)}},
		{[]int{2, 2, 2, 2}, 2, []int{2, 2, 2, 2}, export.Stats{Exported: spans(8)}},
		{[]int{8}, 3, []int{2, 2, 2, 2}, export.Stats{Exported: spans(8)}},
		{[]int{7, 1}, 4, []int{3, 4, 1}, export.Stats{Exported: spans(8)}},
		{[]int{3, 1}, 0, nil, export.Stats{Failed: spans(4)}},
		{[]int{25}, 5, []int{5, 5, 5, 5, 5}, export.Stats{Exported: spans(25)}},
	} {
		t.Run(fmt.Sprintf("%v at most %d", c.put, c.limit), func(t *testing.T) {
			f := newFake()
			f.on = func(_ context.Context, spans []sdktrace.ReadOnlySpan) error {
				if len(spans) > c.limit {
					return status.Error(codes.ResourceExhausted, "grpc: received message larger than max")
				}
				return nil
			}
			q := newQueue(t, export.Config{Exporter: f, MaxBatch: 10, Delay: time.Hour})
			for _, n := range c.put {
				q.Put(wide(n))
			}
			if got := closed(t, q); got != c.stats {
				t.Errorf("stats are %+v, want %+v", got, c.stats)
			}
			var calls []int
			for _, names := range f.taken {
				calls = append(calls, len(names))
			}
			if !slices.Equal(calls, c.calls) {
				t.Errorf("calls that were taken have %v spans, want %v", calls, c.calls)
			}
		})
	}
}
