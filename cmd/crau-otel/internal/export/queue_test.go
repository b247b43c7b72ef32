// SPDX-License-Identifier: Apache-2.0

package export_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.uber.org/goleak"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/export"
	"github.com/crau-otel/crau-otel/mapping"
)

func TestQueueNeedsAnExporter(t *testing.T) {
	if _, err := export.NewQueue(export.Config{}); err == nil || err.Error() != "export: an exporter is required" {
		t.Errorf("error is %v", err)
	}
}

func TestEverySpanIsExportedInOrder(t *testing.T) {
	f := newFake()
	q := newQueue(t, export.Config{Exporter: f})
	q.Put(tree(1, "root", "child"))
	q.Put(tree(2, "other"))
	q.Put(tree(3, "last", "a", "b"))
	if got, want := closed(t, q), (export.Stats{Exported: export.Count{Spans: 6, Events: 60}}); got != want {
		t.Errorf("stats are %+v, want %+v", got, want)
	}
	if got := f.names(); !slices.Equal(got, []string{"root", "child", "other", "last", "a", "b"}) {
		t.Errorf("exported %v", got)
	}
	if f.shutdowns != 1 {
		t.Errorf("the exporter was shut down %d times", f.shutdowns)
	}
}

func TestNothingToExport(t *testing.T) {
	f := newFake()
	if got := closed(t, newQueue(t, export.Config{Exporter: f})); got != (export.Stats{}) {
		t.Errorf("stats are %+v", got)
	}
	if len(f.calls) != 0 || f.shutdowns != 1 {
		t.Errorf("%d calls, %d shutdowns; want none and one", len(f.calls), f.shutdowns)
	}
}

func TestATreeLeavesAfterTheDelay(t *testing.T) {
	f := newFake()
	q := newQueue(t, export.Config{Exporter: f, Delay: time.Millisecond})
	defer closed(t, q)
	for n := 1; n < 4; n++ {
		q.Put(wide(n))
		if got := f.called(t); got != n {
			t.Errorf("a call with %d spans, want %d", got, n)
		}
	}
}

func TestAFullBatchDoesNotWait(t *testing.T) {
	f := newFake()
	q := newQueue(t, export.Config{Exporter: f, Delay: time.Hour, MaxBatch: 5})
	defer closed(t, q)
	for range 5 {
		q.Put(wide(1))
	}
	if got := f.called(t); got != 5 {
		t.Errorf("a call with %d spans, want 5", got)
	}
}

func TestBatchesHoldWholeTrees(t *testing.T) {
	f := newFake()
	release := f.blocking()
	q := newQueue(t, export.Config{Exporter: f, MaxBatch: 10, Delay: time.Millisecond})
	q.Put(wide(3))
	f.called(t)
	for _, n := range []int{4, 4, 4, 25, 10, 9, 1, 1} {
		q.Put(wide(n))
	}
	release()
	if got := closed(t, q); got != (export.Stats{Exported: spans(61)}) {
		t.Errorf("stats are %+v", got)
	}
	close(f.calls)
	var got []int
	for n := range f.calls {
		got = append(got, n)
	}
	if want := []int{4 + 4, 4, 10, 10, 5, 10, 9 + 1, 1}; !slices.Equal(got, want) {
		t.Errorf("calls have %v spans, want %v", got, want)
	}
}

func TestQueueHoldsAtMostItsLimitOfSpans(t *testing.T) {
	const limit = 10
	for _, c := range []struct {
		put           []int
		waiting, full uint64
	}{
		{[]int{limit - 1}, 9, 0},
		{[]int{limit}, 10, 0},
		{[]int{limit + 1}, 0, 11},
		{[]int{limit - 1, 1}, 10, 0},
		{[]int{limit - 1, 1, 1}, 10, 1},
		{[]int{limit - 1, 2, 1}, 10, 2}, // a smaller tree may still fit
		{[]int{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}, 10, 2},
	} {
		t.Run(fmt.Sprint(c.put), func(t *testing.T) {
			f := newFake()
			release := f.blocking()
			defer release()
			q := newQueue(t, export.Config{Exporter: f, MaxQueue: limit, MaxBatch: 1, Delay: time.Millisecond})
			q.Put(wide(2))
			f.called(t) // the tree has left the queue
			for _, n := range c.put {
				q.Put(wide(n))
			}
			if got, want := q.Stats(), full(export.Stats{Waiting: spans(c.waiting)}, c.full); got != want {
				t.Errorf("stats are %+v, want %+v", got, want)
			}
			release()
			want := full(export.Stats{Exported: spans(2 + c.waiting)}, c.full)
			if got := closed(t, q); got != want {
				t.Errorf("in the end stats are %+v, want %+v", got, want)
			}
		})
	}
}

// Each tree has exactly one outcome, even if many goroutines put trees, the exporter fails at random and the queue is
// small.
func TestEveryTreeIsCountedOnce(t *testing.T) {
	f := newFake()
	f.calls = make(chan int, 100000)
	calls := 0
	f.on = func(context.Context, []export.Batch) error {
		if calls++; calls%3 == 0 {
			return errors.New("refused")
		}
		return nil
	}
	q := newQueue(t, export.Config{
		Exporter: f, Sampler: sdktrace.TraceIDRatioBased(0.7), MaxQueue: 40, MaxBatch: 8, Delay: time.Microsecond,
	})
	var put export.Count
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 500 {
				tr := tree(byte(rand.Uint32()), slices.Repeat([]string{"span"}, 1+rand.IntN(12))...)
				q.Put(tr)
				mu.Lock()
				put.Spans += uint64(len(tr.Spans))
				put.Events += uint64(tr.Events)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	st := closed(t, q)
	var sum export.Count
	for _, c := range []export.Count{st.Exported, st.Failed, st.QueueFull, st.SampledOut} {
		if c.Spans == 0 {
			t.Errorf("an outcome that nothing had, the test is too weak: %+v", st)
		}
		sum.Spans += c.Spans
		sum.Events += c.Events
	}
	if sum != put || st.Waiting != (export.Count{}) {
		t.Errorf("%+v put, %+v counted: %+v", put, sum, st)
	}
	// If a failed tree was sent in several calls, the exporter may have accepted some of them.
	if taken := uint64(len(f.names())); taken < st.Exported.Spans || taken > st.Exported.Spans+st.Failed.Spans {
		t.Errorf("the exporter took %d spans: %+v", taken, st)
	}
}

func TestATreeFailsAsAWhole(t *testing.T) {
	f := newFake()
	calls := 0
	f.on = func(context.Context, []export.Batch) error {
		if calls++; calls == 2 {
			return errors.New("refused")
		}
		return nil
	}
	q := newQueue(t, export.Config{Exporter: f, MaxBatch: 10, Delay: time.Millisecond})
	q.Put(wide(25))
	if got := closed(t, q); got != (export.Stats{Failed: spans(25)}) {
		t.Errorf("stats are %+v", got)
	}
	if calls != 2 {
		t.Errorf("%d calls, want none after the one that failed", calls)
	}
}

func TestPutAfterClose(t *testing.T) {
	f := newFake()
	q := newQueue(t, export.Config{Exporter: f})
	q.Put(wide(1))
	closed(t, q)
	q.Put(wide(2))
	if got := q.Stats(); got != full(export.Stats{Exported: spans(1)}, 2) {
		t.Errorf("stats are %+v", got)
	}
}

func TestCloseReturnsTheSameErrorAgain(t *testing.T) {
	f := newFake()
	f.err = errors.New("cannot hang up")
	q := newQueue(t, export.Config{Exporter: f})
	for range 2 {
		if err := q.Close(t.Context()); !errors.Is(err, f.err) {
			t.Errorf("error is %v", err)
		}
	}
	if f.shutdowns != 1 {
		t.Errorf("the exporter was shut down %d times", f.shutdowns)
	}
}

// Close returns when its context ends, if the exporter respects its context, as the OTLP exporter does.
func TestCloseInTime(t *testing.T) {
	for _, c := range []struct {
		shutdown error // result of the exporter's Shutdown
		want     string
	}{
		{nil, "context deadline exceeded"},
		{context.DeadlineExceeded, "context deadline exceeded"}, // the error is not repeated
		{errors.New("cannot hang up"), "context deadline exceeded\ncannot hang up"},
	} {
		f := newFake()
		f.err = c.shutdown
		f.on = func(ctx context.Context, _ []export.Batch) error {
			<-ctx.Done()
			return ctx.Err()
		}
		q := newQueue(t, export.Config{Exporter: f, MaxBatch: 1, Delay: time.Millisecond})
		q.Put(wide(1))
		f.called(t)
		for range 100 {
			q.Put(wide(2))
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		if err := q.Close(ctx); !errors.Is(err, context.DeadlineExceeded) || err.Error() != c.want {
			t.Errorf("error is %v, want %s", err, c.want)
		}
		cancel()
		if got := q.Stats(); got != (export.Stats{Failed: spans(201)}) {
			t.Errorf("stats are %+v", got)
		}
		if f.shutdowns != 1 {
			t.Errorf("the exporter was shut down %d times", f.shutdowns)
		}
	}
}

// Close returns when its context ends, even if the exporter ignores its context and blocks forever, as a write to a
// stopped terminal does.
func TestCloseInTimeWithAStuckExporter(t *testing.T) {
	f := newFake()
	release := f.blocking()
	defer release()
	q := newQueue(t, export.Config{Exporter: f, MaxBatch: 4, Delay: time.Millisecond})
	q.Put(wide(4))
	f.called(t)
	q.Put(wide(2))
	q.Put(wide(7))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	began := time.Now()
	err := q.Close(ctx)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "the exporter does not return") {
		t.Errorf("error is %v", err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("Close took %s", took)
	}
	want := export.Stats{Failed: spans(13)}
	if got := q.Stats(); got != want {
		t.Errorf("stats are %+v, want %+v", got, want)
	}
	release()
	goleak.VerifyNone(t) // waits until the worker has ended
	if got := q.Stats(); got != want {
		t.Errorf("stats are %+v after the exporter returned, want %+v", got, want)
	}
}

func TestPutNeverBlocks(t *testing.T) {
	f := newFake()
	release := f.blocking()
	q := newQueue(t, export.Config{Exporter: f, MaxQueue: 100, Delay: time.Millisecond})
	q.Put(wide(1))
	f.called(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 10000 {
			q.Put(wide(3))
		}
	}()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatal("Put blocks behind the exporter")
	}
	release()
	if got, want := closed(t, q), full(export.Stats{Exported: spans(1 + 99)}, 29901); got != want {
		t.Errorf("stats are %+v, want %+v", got, want)
	}
}

func TestCallsHaveADeadline(t *testing.T) {
	f := newFake()
	var left time.Duration
	f.on = func(ctx context.Context, _ []export.Batch) error {
		deadline, _ := ctx.Deadline()
		left = time.Until(deadline)
		return nil
	}
	q := newQueue(t, export.Config{Exporter: f, Timeout: time.Hour})
	q.Put(wide(1))
	closed(t, q)
	if left < 59*time.Minute || left > time.Hour {
		t.Errorf("a call has %s, want an hour", left)
	}
}

func TestSamplersDecideByTraceID(t *testing.T) {
	for _, c := range []struct {
		sampler  sdktrace.Sampler
		low, top int
	}{
		{nil, 256, 256},
		{sdktrace.AlwaysSample(), 256, 256},
		{sdktrace.NeverSample(), 0, 0},
		{sdktrace.TraceIDRatioBased(0.25), 64, 64}, // the ids are spread evenly
	} {
		var kept [2][]string
		for i := range kept {
			f := newFake()
			q := newQueue(t, export.Config{Exporter: f, Sampler: c.sampler})
			for id := range 256 {
				q.Put(tree(byte(id), fmt.Sprint(id)))
				q.Put(tree(byte(id), fmt.Sprint(id))) // stands for the second part of a large tree
			}
			st := closed(t, q)
			kept[i] = f.names()
			if n := len(kept[i]); n < 2*c.low || n > 2*c.top || st.Exported.Spans != uint64(n) ||
				st.SampledOut != (export.Count{Spans: 512 - uint64(n), Events: 10 * (512 - uint64(n))}) {
				t.Errorf("%v: %d spans, want %d to %d: %+v", c.sampler, n, 2*c.low, 2*c.top, st)
			}
			for j := 0; j+1 < len(kept[i]); j += 2 {
				if kept[i][j] != kept[i][j+1] {
					t.Fatalf("%v: only one part of %s was kept", c.sampler, kept[i][j])
				}
			}
		}
		if !slices.Equal(kept[0], kept[1]) {
			t.Errorf("%v: decides by something else than the trace id", c.sampler)
		}
	}
}

// Trees for which Keep returns true are exported even if the sampler drops them.
func TestKeepOverrulesTheSampler(t *testing.T) {
	f := newFake()
	q := newQueue(t, export.Config{
		Exporter: f, Sampler: sdktrace.NeverSample(), Keep: func(t mapping.Tree) bool { return t.Weak },
	})
	weak := tree(1, "weak")
	weak.Weak = true
	q.Put(weak)
	q.Put(tree(2, "fine"))
	if got := closed(t, q); got != (export.Stats{Exported: spans(1), SampledOut: spans(1)}) || f.names()[0] != "weak" {
		t.Errorf("stats are %+v, exported %v", got, f.names())
	}
}

// If nobody can read the output any more, Closed is called once, and no warning is logged.
func TestExporterWithoutAReader(t *testing.T) {
	f := newFake()
	f.on = func(context.Context, []export.Batch) error { return fmt.Errorf("write: %w", export.ErrClosed) }
	log := &logBuffer{}
	calls := 0
	q := newQueue(t, export.Config{Exporter: f, MaxBatch: 1, Closed: func() { calls++ }, Log: slog.New(slog.NewTextHandler(log, nil))})
	for range 3 {
		q.Put(wide(5))
	}
	if got := closed(t, q); got != (export.Stats{Failed: spans(15)}) || calls != 1 || log.String() != "" {
		t.Errorf("stats are %+v, %d calls, log %q", got, calls, log)
	}
}
