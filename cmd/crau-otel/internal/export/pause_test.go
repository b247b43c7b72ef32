// SPDX-License-Identifier: Apache-2.0

package export_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/export"
)

// The wait that a receiver asks for is obeyed, up to MaxRetryAfter, but is shortened while the queue is full and during
// a shutdown. The test runs in virtual time.
func TestWaitThatAReceiverAsksFor(t *testing.T) {
	const never = -1
	for name, c := range map[string]struct {
		asks    time.Duration
		refuses int           // number of calls that the receiver refuses
		flood   time.Duration // when more trees are put than there is room for
		closed  time.Duration // when Close is called, which may take 10 s
		calls   []time.Duration
		lost    uint64 // spans that are refused until the end
	}{
		"little":             {8 * time.Second, 1, never, never, []time.Duration{0, 8 * time.Second}, 0},
		"twice":              {8 * time.Second, 2, never, never, []time.Duration{0, 8 * time.Second, 16 * time.Second}, 0},
		"much":               {30 * time.Minute, 1, never, never, []time.Duration{0, 30 * time.Minute}, 0},
		"too much":           {7 * 24 * time.Hour, 1, never, never, []time.Duration{0, time.Hour}, 0},
		"little, no room":    {8 * time.Second, 1, time.Second, never, []time.Duration{0, 8 * time.Second}, 0},
		"much, no room":      {30 * time.Minute, 1, time.Second, never, []time.Duration{0, time.Minute}, 0},
		"much, no room late": {30 * time.Minute, 1, 5 * time.Minute, never, []time.Duration{0, 5 * time.Minute}, 0},
		"little, at the end": {4 * time.Second, 1, never, time.Second, []time.Duration{0, 4 * time.Second}, 0},
		"much, at the end":   {time.Hour, 1, never, time.Second, []time.Duration{0, 10 * time.Second}, 0},
		"much, to the end":   {time.Hour, 100, never, time.Second, nil, 18},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake()
				began := time.Now()
				var calls []time.Duration
				f.on = func(context.Context, []export.Batch) error {
					calls = append(calls, time.Since(began))
					if len(calls) > c.refuses {
						return nil
					}
					return &export.RefusedError{Err: errors.New("later"), Action: export.Retry, After: c.asks}
				}
				q := newQueue(t, export.Config{Exporter: f, MaxQueue: 100, Delay: time.Nanosecond})
				q.Put(wide(18))
				flood, closing := time.After(c.flood), time.After(c.closed)
				if c.flood == never {
					flood = nil
				}
				if c.closed == never {
					closing = time.After(24 * time.Hour)
				}
				var flooded uint64
				for ctx := context.Context(nil); ctx == nil; {
					select {
					case <-flood:
						for range 20 { // the queue has room for 5 of these
							q.Put(wide(18))
							flooded += 18
						}
					case <-closing:
						var cancel context.CancelFunc
						ctx, cancel = context.WithTimeout(t.Context(), 10*time.Second)
						defer cancel()
						if err := q.Close(ctx); (err != nil) != (c.lost > 0) {
							t.Errorf("Close: %v", err)
						}
					}
				}
				want := export.Stats{Exported: spans(18 - c.lost), Failed: spans(c.lost)}
				if flooded > 0 {
					want = full(export.Stats{Exported: spans(18 + 5*18)}, flooded-5*18)
				}
				if got := q.Stats(); got != want {
					t.Errorf("stats are %+v, want %+v", got, want)
				}
				for i := range calls {
					calls[i] = calls[i].Truncate(time.Millisecond)
				}
				if c.calls == nil { // the first call, and further ones in the last second of the shutdown
					if n := len(calls); n < 2 || n > 5 || calls[1] != 10*time.Second {
						t.Errorf("calls at %v", calls)
					}
				} else if len(calls) < len(c.calls) || !slices.Equal(calls[:len(c.calls)], c.calls) {
					t.Errorf("calls at %v, want %v", calls, c.calls)
				}
			})
		})
	}
}

// A warning of the receiver about one call does not suppress the log line about spans that it rejects in another. No
// more spans are reported as rejected than were sent.
func TestWarningsHideNoRejection(t *testing.T) {
	log := &logBuffer{}
	f := newFake()
	calls := 0
	f.on = func(context.Context, []export.Batch) error {
		if calls++; calls == 2 {
			return &export.PartialError{Rejected: 1 << 40, Message: "too old"}
		}
		return &export.PartialError{Message: "deprecated"}
	}
	q := newQueue(t, export.Config{Exporter: f, MaxBatch: 1, Delay: time.Hour, Log: slog.New(slog.NewTextHandler(log, nil))})
	for range 3 {
		q.Put(wide(1))
	}
	if got, want := closed(t, q), (export.Stats{Exported: spans(2), Failed: spans(1)}); got != want {
		t.Errorf("stats are %+v, want %+v", got, want)
	}
	for _, want := range []string{
		`msg="the receiver accepted all spans with a warning" message=deprecated`,
		`msg="spans are lost: the receiver rejected a part of a call" rejected_spans=1 message="too old"`,
	} {
		if n := strings.Count(log.String(), want); n != 1 {
			t.Errorf("%d lines with %s in\n%s", n, want, log)
		}
	}
}
