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
	"testing/synctest"
	"time"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/export"
)

// refused returns the error of a call that failed, with the action to take.
func refused(action export.Action, text string) error {
	return &export.RefusedError{Err: errors.New(text), Action: action}
}

// errAway is the error of a receiver that cannot be reached.
var errAway = refused(export.Retry, "connection refused")

func TestWhichErrorsAreRetried(t *testing.T) {
	for _, c := range []struct {
		err   error
		again bool
	}{
		{errors.New("something"), false},
		{context.DeadlineExceeded, true},
		{refused(export.GiveUp, "give up"), false},
		{refused(export.Retry, "retry"), true},
		{refused(export.Split, "split"), false}, // a call with a single span cannot be divided
		{refused(export.Slow, "slow"), true},
		{fmt.Errorf("traces export: %w", refused(export.Retry, "retry")), true},
		{fmt.Errorf("traces export: %w", refused(export.GiveUp, "give up")), false},
	} {
		t.Run(fmt.Sprint(c.err), func(t *testing.T) {
			t.Parallel()
			f := newFake()
			calls := 0
			f.on = func(context.Context, []export.Batch) error {
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

// While the receiver is unavailable, all spans wait. One log line reports that it is unavailable, and one that spans
// are exported again.
func TestReceiverThatComesBack(t *testing.T) {
	var log bytes.Buffer
	f := newFake()
	away := make(chan struct{})
	f.on = func(context.Context, []export.Batch) error {
		select {
		case <-away:
			return nil
		default:
			return errAway
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
		`level=WARN msg="cannot export spans yet; retrying" error="connection refused"`,
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
	f.on = func(context.Context, []export.Batch) error {
		return errAway
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

// Lost spans are logged at intervals only, so that a receiver that refuses everything does not fill the log.
func TestLossesAreLoggedOnceInAWhile(t *testing.T) {
	var log bytes.Buffer
	f := newFake()
	f.on = func(context.Context, []export.Batch) error {
		return refused(export.GiveUp, "who are you")
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

// A call that is refused for its size is divided, and trees stay whole if possible.
func TestRefusedForItsSizeGoesInParts(t *testing.T) {
	for _, c := range []struct {
		put   []int
		limit int   // largest number of spans in a call that the receiver accepts
		calls []int // number of spans in each accepted call
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
			f.spanBytes = 32 << 10
			f.on = func(_ context.Context, batches []export.Batch) error {
				if len(namesOf(batches)) > c.limit {
					return refused(export.Split, "grpc: received message larger than max")
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

// If a receiver refuses calls of every size, calls are not divided down to single spans.
func TestEverySizeIsTooLarge(t *testing.T) {
	f := newFake()
	calls := 0
	f.on = func(context.Context, []export.Batch) error {
		calls++
		return refused(export.Split, "message larger than max")
	}
	q := newQueue(t, export.Config{Exporter: f, MaxBatch: 2048, Delay: time.Hour})
	for range 200 {
		q.Put(wide(9))
	}
	if got := closed(t, q); got != (export.Stats{Failed: spans(1800)}) {
		t.Errorf("stats are %+v", got)
	}
	if calls > 20 {
		t.Errorf("%d calls for 1800 spans, want at most 20", calls)
	}
}

// A call of at most 1 KiB is not divided, because no receiver's limit is that small.
func TestLittleIsNotDivided(t *testing.T) {
	// The tree of 9 spans has 1017 or 1026 bytes. If the tree is divided and its first half is refused, the second half
	// is not sent.
	for spanBytes, want := range map[int]int{113: 1, 114: 2} {
		f := newFake()
		f.spanBytes = spanBytes
		calls := 0
		f.on = func(context.Context, []export.Batch) error {
			calls++
			return refused(export.Split, "message larger than max")
		}
		q := newQueue(t, export.Config{Exporter: f})
		q.Put(wide(9))
		if got := closed(t, q); got != (export.Stats{Failed: spans(9)}) || calls != want {
			t.Errorf("%d bytes: %d calls, want %d; stats are %+v", 9*spanBytes, calls, want, got)
		}
	}
}

// If a receiver refuses the rate of calls without asking to wait, calls are retried at growing intervals and not
// divided into single spans.
func TestRateThatIsTooHigh(t *testing.T) {
	f := newFake()
	calls := 0
	f.on = func(context.Context, []export.Batch) error {
		if calls++; calls < 4 {
			return refused(export.Slow, "rate limit exceeded")
		}
		return nil
	}
	q := newQueue(t, export.Config{Exporter: f, MaxBatch: 2048, Delay: time.Hour})
	for range 200 {
		q.Put(wide(9))
	}
	if got := closed(t, q); got != (export.Stats{Exported: spans(1800)}) {
		t.Errorf("stats are %+v", got)
	}
	if calls > 6 {
		t.Errorf("%d calls, want at most 6", calls)
	}
}

// If a receiver refuses calls without a reason, it does not get one call for each span. The test runs in virtual time.
func TestRefusalsWithoutAReason(t *testing.T) {
	for name, c := range map[string]struct {
		refuses  func(since time.Duration, spans int) bool
		batch    int // Config.MaxBatch
		calls    int // largest number of calls for 1800 spans
		exported uint64
	}{
		"everything":           {func(time.Duration, int) bool { return true }, 2048, 14, 0},
		"everything for 2 s":   {func(since time.Duration, _ int) bool { return since < 2*time.Second }, 2048, 8, 1800},
		"more than 1000 spans": {func(_ time.Duration, spans int) bool { return spans > 1000 }, 2048, 4, 1800},
		// After a call was divided once without success, its spans are lost.
		"more than 100 spans":       {func(_ time.Duration, spans int) bool { return spans > 100 }, 2048, 14, 0},
		"more than one call in 1 s": {oneIn(time.Second), 90, 100, 1800},
		"more than one call in 5 s": {oneIn(5 * time.Second), 90, 200, 1800},
		// A call of a size that was accepted before is tried maxRateTries times. Only the first call that fails gets
		// these tries, and its 90 spans are lost.
		"more than 50 spans, later": {moreThanLater(50), 90, 120, 1710},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake()
				began, calls := time.Now(), 0
				all := make(chan struct{}) // closed when all trees are put, so that calls are full
				f.on = func(_ context.Context, batches []export.Batch) error {
					<-all
					if calls++; c.refuses(time.Since(began), len(namesOf(batches))) {
						return refused(export.Slow, "exhausted")
					}
					return nil
				}
				q := newQueue(t, export.Config{Exporter: f, MaxBatch: c.batch, Delay: time.Hour})
				for range 200 {
					q.Put(wide(9))
				}
				close(all)
				if got, want := closed(t, q), (export.Stats{Exported: spans(c.exported), Failed: spans(1800 - c.exported)}); got != want {
					t.Errorf("stats are %+v, want %+v", got, want)
				}
				if calls > c.calls {
					t.Errorf("%d calls, want at most %d", calls, c.calls)
				}
			})
		})
	}
}

// oneIn refuses calls that come earlier than pause after the latest accepted call.
func oneIn(pause time.Duration) func(time.Duration, int) bool {
	last := -pause
	return func(since time.Duration, _ int) bool {
		if since < last+pause {
			return true
		}
		last = since
		return false
	}
}

// moreThanLater refuses calls with more than limit spans, but accepts the first call.
func moreThanLater(limit int) func(time.Duration, int) bool {
	calls := 0
	return func(_ time.Duration, spans int) bool {
		calls++
		return calls > 1 && spans > limit
	}
}

// If a call fails after some of its batches were delivered, these batches are neither sent again nor counted as lost.
func TestCallThatFailsHalfWay(t *testing.T) {
	f := newFake()
	var calls []int
	f.on = func(_ context.Context, batches []export.Batch) error {
		calls = append(calls, len(batches))
		switch len(calls) {
		case 1:
			return &export.RefusedError{Err: errors.New("slow"), Action: export.Retry, Delivered: 2}
		case 2:
			return &export.RefusedError{Err: errors.New("gone"), Delivered: 1}
		}
		return nil
	}
	q := newQueue(t, export.Config{Exporter: f, Delay: time.Hour})
	for range 5 {
		q.Put(wide(3))
	}
	want := export.Stats{Exported: spans(9), Failed: spans(6)}
	if got := closed(t, q); got != want || !slices.Equal(calls, []int{5, 3}) {
		t.Errorf("stats are %+v, want %+v; calls with %d trees", got, want, calls)
	}
}
