// SPDX-License-Identifier: Apache-2.0

package export_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/export"
	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/export/otlp"
	"github.com/crau-otel/crau-otel/test/harness"
)

// overGRPC is a queue that exports to a scripted receiver over OTLP/gRPC.
type overGRPC struct {
	*export.Queue

	receiver *harness.TestReceiver
	log      *logBuffer
}

// logBuffer is a log that can be read while it is being written.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func newOverGRPC(t *testing.T, cfg export.Config, answer harness.Answer) overGRPC {
	t.Helper()
	r := harness.Receive(t, harness.ReceiverConfig{Answer: answer})
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", r.Endpoint())
	e, err := otlp.Open("test")
	if err != nil {
		t.Fatal(err)
	}
	log := &logBuffer{}
	cfg.Exporter, cfg.Log = e, slog.New(slog.NewTextHandler(log, nil))
	if cfg.Delay == 0 {
		cfg.Delay = time.Millisecond
	}
	return overGRPC{newQueue(t, cfg), r, log}
}

// check closes the queue and compares its counters with want and with what the receiver accepted.
func (q overGRPC) check(t *testing.T, want export.Stats) {
	t.Helper()
	got := closed(t, q.Queue)
	if got != want {
		t.Errorf("stats are %+v, want %+v\n%s", got, want, q.log)
	}
	if n := q.receiver.Accepted.Load(); n != got.Exported.Spans {
		t.Errorf("the receiver accepted %d spans, %d count as exported", n, got.Exported.Spans)
	}
}

// A partial success that rejects no spans is only a warning, as OTLP specifies.
func TestPartialSuccessWithoutRejectedSpansIsAWarning(t *testing.T) {
	q := newOverGRPC(t, export.Config{}, harness.Reject(0, "attribute x is deprecated"))
	for range 20 {
		q.Put(wide(18))
	}
	q.check(t, export.Stats{Exported: spans(360)})
	if n := strings.Count(q.log.String(), "attribute x is deprecated"); n != 1 || strings.Contains(q.log.String(), "lost") {
		t.Errorf("%d warnings, want one and no loss:\n%s", n, q.log)
	}
}

func TestPartialSuccessLosesTheRejectedSpansOnly(t *testing.T) {
	for rejected, lost := range map[int]export.Count{
		1:   {Spans: 1, Events: 10},
		359: spans(359),
		360: spans(360),
	} {
		q := newOverGRPC(t, export.Config{Delay: time.Hour}, harness.Reject(rejected, "too old"))
		for range 20 {
			q.Put(wide(18))
		}
		q.check(t, export.Stats{Exported: export.Count{Spans: 360 - lost.Spans, Events: 3600 - lost.Events}, Failed: lost})
		if n := strings.Count(q.log.String(), "too old"); n != 1 {
			t.Errorf("%d warnings, want one:\n%s", n, q.log)
		}
	}
}

// If a tree is sent in several calls, and the receiver rejects spans of one of them, the remaining calls are still
// made.
func TestPartialSuccessDoesNotEndATree(t *testing.T) {
	q := newOverGRPC(t, export.Config{MaxBatch: 100, Delay: time.Hour}, harness.Script(nil, harness.Reject(1, "too old")))
	q.Put(wide(360))
	q.check(t, export.Stats{Exported: spans(359), Failed: spans(1)})
	if n := q.receiver.Calls.Load(); n != 4 {
		t.Errorf("%d calls, want 4", n)
	}
}

// If a receiver rejects some spans, every event counts as either exported or failed, whatever the numbers of events
// are.
func TestPartialSuccessKeepsTheEquation(t *testing.T) {
	for _, events := range []int{0, 1, 7, 100, 1001} {
		f := newFake()
		f.on = func(context.Context, []export.Batch) error { return &export.PartialError{Rejected: 5} }
		q := newQueue(t, export.Config{Exporter: f, Delay: time.Hour})
		for n := range 13 {
			tr := wide(1 + n)
			tr.Events = events + n
			q.Put(tr)
		}
		got := closed(t, q)
		total := got.Exported
		total.Spans += got.Failed.Spans
		total.Events += got.Failed.Events
		if want := (export.Count{Spans: 91, Events: uint64(13*events + 78)}); got.Failed.Spans != 5 || total != want {
			t.Errorf("stats are %+v, want 5 lost spans of %+v", got, want)
		}
	}
}

// The numbers in a receiver's answer are not trusted: it cannot reject more spans than it was sent, nor less than none.
func TestPartialSuccessWithImpossibleNumbers(t *testing.T) {
	for rejected, want := range map[int]export.Stats{
		-1:      {Exported: spans(9)},
		1 << 40: {Failed: spans(9)},
	} {
		f := newFake()
		f.on = func(context.Context, []export.Batch) error { return &export.PartialError{Rejected: rejected} }
		q := newQueue(t, export.Config{Exporter: f})
		q.Put(wide(9))
		if got := closed(t, q); got != want {
			t.Errorf("%d rejected: stats are %+v, want %+v", rejected, got, want)
		}
	}
}

// A call is retried after the delay in the receiver's RetryInfo.
func TestRetryInfoIsObeyed(t *testing.T) {
	for _, code := range []codes.Code{codes.ResourceExhausted, codes.Unavailable} {
		const delay = 3 * time.Second
		var calls []time.Time
		fail := harness.FailFor(code, "come back later", delay)
		q := newOverGRPC(t, export.Config{}, func(ctx context.Context, call harness.Call) harness.Reply {
			calls = append(calls, time.Now())
			if call.Number == 1 {
				return fail(ctx, call)
			}
			return harness.Reply{}
		})
		q.Put(wide(18))
		q.check(t, export.Stats{Exported: spans(18)})
		if len(calls) != 2 {
			t.Fatalf("%s: %d calls, want 2", code, len(calls))
		}
		if waited := calls[1].Sub(calls[0]); waited < delay || waited > delay+2*time.Second {
			t.Errorf("%s: the second call came after %s, want %s", code, waited, delay)
		}
	}
}

// A receiver cannot delay the end of the agent, however long it asks to wait.
func TestRetryInfoEndsWithTheShutdown(t *testing.T) {
	q := newOverGRPC(t, export.Config{}, harness.FailFor(codes.Unavailable, "next week", 7*24*time.Hour))
	q.Put(wide(18))
	q.receiver.WaitCalls(1, 10*time.Second)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	began := time.Now()
	if err := q.Close(ctx); err == nil {
		t.Error("everything was exported")
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("Close took %s", took)
	}
	if got := q.Stats(); got != (export.Stats{Failed: spans(18)}) {
		t.Errorf("stats are %+v", got)
	}
}

// A call that is refused with RESOURCE_EXHAUSTED without a reason is retried, because the rate of calls may be too
// high.
func TestRateLimitIsNotASize(t *testing.T) {
	busy := harness.Fail(codes.ResourceExhausted, "rate limit exceeded")
	q := newOverGRPC(t, export.Config{Delay: time.Hour}, harness.Script(busy, busy, busy))
	for range 100 {
		q.Put(wide(18))
	}
	q.check(t, export.Stats{Exported: spans(1800)})
	if n := q.receiver.Calls.Load(); n > 6 {
		t.Errorf("%d calls, want at most 6", n)
	}
}

// A call that is refused with RESOURCE_EXHAUSTED without a reason is divided if retrying does not help, because its
// size may be too large.
func TestSizeThatIsRefusedWithoutAReason(t *testing.T) {
	full := harness.Reply{Err: harness.Fail(codes.ResourceExhausted, "exhausted")(t.Context(), harness.Call{}).Err}
	q := newOverGRPC(t, export.Config{Delay: time.Hour}, func(_ context.Context, call harness.Call) harness.Reply {
		if len(call.Spans) > 10 {
			return full
		}
		return harness.Reply{}
	})
	q.Put(wide(9))
	q.Put(wide(9))
	q.check(t, export.Stats{Exported: spans(18)})
}
