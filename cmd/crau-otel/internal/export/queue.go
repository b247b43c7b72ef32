// SPDX-License-Identifier: Apache-2.0

package export

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/crau-otel/crau-otel/mapping"
)

// Config says how to export. The zero value of a field means its default, or the OTEL_BSP_* variable that the
// OpenTelemetry specification gives for it.
type Config struct {
	Exporter sdktrace.SpanExporter // required
	// Hold returns spans that say the same when the memory of those given is used again. A tree that it fails for is
	// lost. Default: copies.
	Hold func([]sdktrace.ReadOnlySpan) ([]sdktrace.ReadOnlySpan, error)
	// Release is given back what Hold returned when the exporter needs it no more; default: nobody is told.
	Release  func([]sdktrace.ReadOnlySpan)
	Sampler  sdktrace.Sampler        // decides by root; default: every tree
	Keep     func(mapping.Tree) bool // trees to export although the sampler would leave them out; default: none
	MaxQueue int                     // spans that may wait; OTEL_BSP_MAX_QUEUE_SIZE, default 131072
	MaxBytes int                     // of spans that may wait, and one tree more; default 32 MiB
	MaxBatch int                     // spans per call of the exporter; OTEL_BSP_MAX_EXPORT_BATCH_SIZE, default 2048
	Delay    time.Duration           // longest wait for a batch to fill; OTEL_BSP_SCHEDULE_DELAY, default 200 ms
	Timeout  time.Duration           // longest call of the exporter; OTEL_BSP_EXPORT_TIMEOUT, default 30 s
	Log      *slog.Logger            // default: discard
}

// Count is a number of spans and of the probe hits that they were made of.
type Count struct {
	Spans, Events uint64
}

func (c *Count) add(t mapping.Tree) {
	c.Spans += uint64(len(t.Spans))
	c.Events += uint64(t.Events)
}

func (c *Count) sum(other Count) {
	c.Spans += other.Spans
	c.Events += other.Events
}

// Stats counts what became of the trees that were put.
type Stats struct {
	Exported   Count // the exporter took them
	Failed     Count // lost: the exporter refused them, or the time to shut down was over
	QueueFull  Count // lost: there was no room in the queue
	SampledOut Count // left out by the sampler
	Waiting    Count // in the queue
}

// Queue hands trees to an exporter from a goroutine of its own. Methods are safe for concurrent use.
type Queue struct {
	cfg  Config
	wake chan struct{} // a tree was put, or the queue was closed
	done chan struct{} // the worker has ended

	// stop ends a call of the exporter when the time to shut down is over.
	ctx  context.Context
	stop context.CancelFunc

	mu        sync.Mutex
	trees     []entry
	batch     []entry // taken by the worker and not counted yet
	bytes     int     // of trees and batch
	stats     Stats
	closed    bool
	abandoned bool // everything was counted although the exporter has not returned

	lastWarn time.Time
	failing  bool // the worker's own: the last call of the exporter failed and is tried again

	closeOnce sync.Once
	closeErr  error
}

const (
	// maxBatchBytes bounds a call of the exporter beside MaxBatch, but for a span that is larger alone: receivers take 4 MiB
	// by default, and a message is in memory several times.
	maxBatchBytes = 2 << 20
	// warnEvery bounds how often losses are logged.
	warnEvery = 10 * time.Second
	// grace is how long the exporter may take to notice that the time to shut down is over.
	grace = 500 * time.Millisecond
)

// NewQueue starts a queue. It ends with Close.
func NewQueue(cfg Config) (*Queue, error) {
	if cfg.Exporter == nil {
		return nil, errors.New("export: an exporter is required")
	}
	if err := cfg.fromEnvironment(); err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	q := &Queue{cfg: cfg, wake: make(chan struct{}, 1), done: make(chan struct{}), ctx: ctx, stop: stop}
	go q.work()
	return q, nil
}

// Put takes a finished tree, whose memory may be used again after the call. It never waits for the exporter: what does
// not fit is counted and dropped.
func (q *Queue) Put(t mapping.Tree) {
	if !q.sampled(t) && (q.cfg.Keep == nil || !q.cfg.Keep(t)) {
		q.mu.Lock()
		q.stats.SampledOut.add(t)
		q.mu.Unlock()
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed || q.bytes >= q.cfg.MaxBytes || q.stats.Waiting.Spans+uint64(len(t.Spans)) > uint64(q.cfg.MaxQueue) {
		q.stats.QueueFull.add(t)
		return
	}
	spans, err := q.hold(&t)
	if err != nil {
		q.stats.Failed.add(t)
		q.warn(err)
		return
	}
	e := entry{Count: Count{uint64(len(t.Spans)), uint64(t.Events)}, spans: spans, bytes: size(spans)}
	q.trees = append(q.trees, e)
	q.bytes += e.bytes
	q.stats.Waiting.add(t)
	if len(q.trees) == 1 || q.stats.Waiting.Spans >= uint64(q.cfg.MaxBatch) {
		q.signal()
	}
}

func (q *Queue) hold(t *mapping.Tree) ([]sdktrace.ReadOnlySpan, error) {
	if q.cfg.Hold == nil {
		held := t.Clone()
		return ReadOnly(&held), nil
	}
	return q.cfg.Hold(ReadOnly(t))
}

// entry is a tree that waits.
type entry struct {
	Count

	spans []sdktrace.ReadOnlySpan
	bytes int // of memory, about
}

func size(spans []sdktrace.ReadOnlySpan) (bytes int) {
	for _, s := range spans {
		bytes += sizeOf(s)
	}
	return bytes
}

// sizeOf returns about how much memory a span takes, in bytes: it may tell its own.
func sizeOf(s sdktrace.ReadOnlySpan) int {
	if own, ok := s.(interface{ Size() int }); ok {
		return own.Size()
	}
	bytes := 600
	for _, a := range s.Attributes() {
		bytes += 64 + len(a.Value.AsString())
	}
	return bytes
}

func (q *Queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// Stats returns the counters.
func (q *Queue) Stats() Stats {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.stats
}

// Close exports what waits and shuts the exporter down. When ctx ends first, what is left is counted as failed and
// the error says so; an exporter that then does not return is left behind. It is idempotent.
func (q *Queue) Close(ctx context.Context) error {
	q.closeOnce.Do(func() { q.closeErr = q.close(ctx) })
	return q.closeErr
}

func (q *Queue) close(ctx context.Context) error {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.signal()
	defer q.stop()
	select {
	case <-q.done:
		return q.cfg.Exporter.Shutdown(ctx)
	case <-ctx.Done():
	}
	q.stop()
	late := time.NewTimer(grace)
	defer late.Stop()
	select {
	case <-q.done:
		if err := q.cfg.Exporter.Shutdown(ctx); err != nil && !errors.Is(err, ctx.Err()) {
			return errors.Join(context.Cause(ctx), err)
		}
		return context.Cause(ctx)
	case <-late.C:
		q.abandon()
		return fmt.Errorf("the exporter does not return: %w", context.Cause(ctx))
	}
}

// abandon counts all that is left as failed, the batch that the exporter has included.
func (q *Queue) abandon() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.abandoned = true
	for _, t := range slices.Concat(q.batch, q.trees) {
		q.stats.Failed.sum(t.Count)
	}
	q.batch, q.trees, q.bytes, q.stats.Waiting = nil, nil, 0, Count{}
}

// work exports until the queue is closed and empty.
func (q *Queue) work() {
	defer close(q.done)
	for {
		<-q.wake
		q.fillUp()
		batch, closed := q.take()
		for ; len(batch) > 0; batch, closed = q.take() {
			q.deliver(batch)
		}
		if closed {
			return
		}
	}
}

// fillUp waits until a batch is full, the delay is over, or the queue is closed.
func (q *Queue) fillUp() {
	timer := time.NewTimer(q.cfg.Delay)
	defer timer.Stop()
	for {
		q.mu.Lock()
		enough := q.closed || q.stats.Waiting.Spans >= uint64(q.cfg.MaxBatch)
		q.mu.Unlock()
		if enough {
			return
		}
		select {
		case <-q.wake:
		case <-timer.C:
			return
		}
	}
}

// take removes trees for about one batch: whole trees, at least one if there is any.
func (q *Queue) take() (batch []entry, closed bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	n, spans := 0, 0
	bytes := 0
	for n < len(q.trees) && (n == 0 || spans+len(q.trees[n].spans) <= q.cfg.MaxBatch && bytes+q.trees[n].bytes <= maxBatchBytes) {
		spans += len(q.trees[n].spans)
		bytes += q.trees[n].bytes
		n++
	}
	batch = slices.Clone(q.trees[:n])
	q.trees = slices.Delete(q.trees, 0, n)
	for _, t := range batch {
		q.stats.Waiting.Spans -= t.Spans
		q.stats.Waiting.Events -= t.Events
	}
	q.batch = batch
	return batch, q.closed
}

// sampled asks the sampler about the tree's first span, which is its root or belongs to the same trace.
func (q *Queue) sampled(t mapping.Tree) bool {
	if q.cfg.Sampler == nil {
		return true
	}
	first := &t.Spans[0]
	result := q.cfg.Sampler.ShouldSample(sdktrace.SamplingParameters{
		ParentContext: context.Background(),
		TraceID:       first.TraceID,
		Name:          first.Name,
		Kind:          first.Kind,
		Attributes:    first.Attributes(),
	})
	return result.Decision == sdktrace.RecordAndSample
}
