// SPDX-License-Identifier: Apache-2.0

package export

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	sdkresource "go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/crau-otel/crau-otel/limits"
	"github.com/crau-otel/crau-otel/mapping"
)

// Config configures a Queue. The zero value of a field means its default, or the value of its OTEL_BSP_* variable, as
// in the OpenTelemetry specification.
type Config struct {
	Exporter Exporter                // required
	Sampler  sdktrace.Sampler        // decides by the root; default: every tree
	Keep     func(mapping.Tree) bool // trees to export even if the sampler drops them; default: none
	MaxQueue int                     // spans that may wait; OTEL_BSP_MAX_QUEUE_SIZE, default 131072
	MaxBytes int                     // of waiting spans, which one more tree may exceed; default 32 MiB
	MaxBatch int                     // spans per call of the exporter; OTEL_BSP_MAX_EXPORT_BATCH_SIZE, default 2048
	Delay    time.Duration           // longest wait for a batch to fill; OTEL_BSP_SCHEDULE_DELAY, default 200 ms
	Timeout  time.Duration           // longest call of the exporter; OTEL_BSP_EXPORT_TIMEOUT, default 30 s
	Closed   func()                  // called once, after the exporter returned ErrClosed
	Limits   *limits.Monitor         // counts spans for which there is no room; default: a new Monitor
	Log      *slog.Logger            // default: discards
}

// Count is a number of spans and of the probe hits that they were made from.
type Count struct {
	Spans, Events uint64
}

func (c *Count) add(other Count) {
	c.Spans += other.Spans
	c.Events += other.Events
}

func (c *Count) subtract(other Count) {
	c.Spans -= other.Spans
	c.Events -= other.Events
}

func countOf(t *mapping.Tree) Count { return Count{uint64(len(t.Spans)), uint64(t.Events)} }

// Stats counts trees by their outcome.
type Stats struct {
	Exported   Count // accepted by the receiver
	Failed     Count // lost: they could not be encoded, were refused, or the time to shut down was over
	QueueFull  Count // lost: there was no room in the queue
	SampledOut Count // dropped by the sampler
	Waiting    Count // in the queue now

	QueueFullOf mapping.ClassCounts // events of QueueFull, by class of owner
}

// Queue passes trees to an exporter on its own goroutine. Methods are safe for concurrent use.
type Queue struct {
	cfg  Config
	wake chan struct{} // a tree was put, or the queue was closed
	done chan struct{} // the worker has ended
	full chan struct{} // a tree was dropped

	closing chan struct{} // closed by Close, after end was set
	end     time.Time     // of the time to shut down; zero: there is none

	// stop cancels a call of the exporter when the time for shutting down is over.
	ctx  context.Context
	stop context.CancelFunc

	mu        sync.Mutex
	waiting   waiting
	sending   []entry // taken by the worker and not counted yet
	bytes     int     // of sending
	stats     Stats   // without Waiting
	closed    bool
	abandoned bool // everything was counted before the exporter returned

	lost, rejected, warned Occasion // of log lines

	// The worker's own.
	failing  bool // the last call of the exporter failed and is tried again
	accepted int  // bytes of the largest call that the receiver took: no size up to it is too large

	closeOnce sync.Once
	closeErr  error
	gone      sync.Once // Closed was called
}

const (
	// maxBatchBytes bounds a call of the exporter in addition to MaxBatch; only a single span may be larger. Receivers
	// accept 4 MiB by default, and there are several copies of a message in memory.
	maxBatchBytes = 2 << 20
	// grace is how long the exporter may take to notice that the time for shutting down is over.
	grace = 500 * time.Millisecond
)

// NewQueue starts a queue. It must be closed.
func NewQueue(cfg Config) (*Queue, error) {
	if cfg.Exporter == nil {
		return nil, errors.New("export: an exporter is required")
	}
	if err := cfg.fromEnvironment(); err != nil {
		return nil, err
	}
	if cfg.Limits == nil {
		cfg.Limits = limits.New(limits.Config{})
	}
	ctx, stop := context.WithCancel(context.Background())
	q := &Queue{
		cfg: cfg, wake: make(chan struct{}, 1), done: make(chan struct{}), full: make(chan struct{}, 1),
		closing: make(chan struct{}), ctx: ctx, stop: stop,
		waiting: newWaiting(cfg.MaxQueue, cfg.MaxBytes),
	}
	go q.work()
	return q, nil
}

// Put adds a finished tree, whose memory may be reused after the call. It never waits for the receiver: if there is no
// room for a tree, it is counted and dropped.
func (q *Queue) Put(t mapping.Tree) {
	count, from := countOf(&t), sourceOf(&t)
	if !q.sampled(t) && (q.cfg.Keep == nil || !q.cfg.Keep(t)) {
		q.mu.Lock()
		q.stats.SampledOut.add(count)
		q.mu.Unlock()
		return
	}
	q.mu.Lock()
	admitted := !q.closed && (q.waiting.fits(count.Spans, q.bytes) || q.waiting.largest(from, count.Spans, 0) != nil)
	q.mu.Unlock()
	if !admitted { // avoids the cost of encoding
		q.mu.Lock()
		defer q.mu.Unlock()
		q.drop(from, t.Resource, count)
		return
	}
	batch, err := q.cfg.Exporter.Encode(t)
	if err != nil {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.stats.Failed.add(count)
		q.warnLost(err)
		return
	}
	_, bytes := batch.Size()
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.admit(from, t.Resource, entry{count, batch, bytes}) {
		batch.Release()
		q.drop(from, t.Resource, count)
	}
}

// admit queues a program's tree if there is room, or if it can evict a tree of an owner or program that uses more. The
// queue must be locked.
func (q *Queue) admit(from source, program *sdkresource.Resource, e entry) bool {
	if q.closed {
		return false
	}
	for !q.waiting.fits(e.Spans, q.bytes) {
		largest := q.waiting.largest(from, e.Spans, e.bytes)
		if largest == nil || q.bytes >= q.cfg.MaxBytes {
			return false
		}
		evicted := q.waiting.evict(largest)
		evicted.batch.Release()
		q.drop(largest.source, largest.resource, evicted.Count)
	}
	first := q.waiting.Spans == 0
	q.waiting.put(from, program, e)
	if first || q.waiting.Spans >= uint64(q.cfg.MaxBatch) {
		signal(q.wake)
	}
	return true
}

// drop counts a tree for which there is no room. The queue must be locked.
func (q *Queue) drop(from source, program *sdkresource.Resource, count Count) {
	q.stats.QueueFull.add(count)
	q.stats.QueueFullOf[from.owner.Class] += count.Events
	if q.closed {
		return
	}
	signal(q.full)
	service, _ := program.Set().Value(semconv.ServiceNameKey)
	of := limits.Owner{Name: from.owner.ID, Class: limits.Class(from.owner.Class.String())}
	if of.Name == "" {
		of = limits.Owner{Name: service.AsString(), Class: limits.ClassUnknown}
	}
	if dropped, due := q.cfg.Limits.Reached(limits.Queue, of, count.Spans); due {
		q.cfg.Log.Warn("export queue is full, spans are dropped: the receiver is too slow or unavailable",
			"service", service.AsString(), "owner", of.Name, "dropped_spans", dropped)
	}
}

// signal fills a channel that has room for one.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Stats returns the counters.
func (q *Queue) Stats() Stats {
	q.mu.Lock()
	defer q.mu.Unlock()
	stats := q.stats
	stats.Waiting = q.waiting.Count
	return stats
}

// Close exports the waiting trees and shuts the exporter down. If ctx ends first, the remaining trees are counted as
// failed, which the error reports, and Close does not wait for an exporter that does not return. It is idempotent.
func (q *Queue) Close(ctx context.Context) error {
	q.closeOnce.Do(func() { q.closeErr = q.close(ctx) })
	return q.closeErr
}

func (q *Queue) close(ctx context.Context) error {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.end, _ = ctx.Deadline()
	close(q.closing)
	signal(q.wake)
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

// abandon counts all remaining trees as failed, including those that the exporter is sending.
func (q *Queue) abandon() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.abandoned = true
	for _, e := range q.sending {
		q.stats.Failed.add(e.Count)
	}
	q.stats.Failed.add(q.waiting.Count)
	q.sending, q.bytes, q.waiting = nil, 0, newWaiting(q.cfg.MaxQueue, q.cfg.MaxBytes)
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

// fillUp waits until there is enough for a batch, the delay is over, or the queue is closed.
func (q *Queue) fillUp() {
	timer := time.NewTimer(q.cfg.Delay)
	defer timer.Stop()
	for {
		q.mu.Lock()
		enough := q.closed || q.waiting.Spans >= uint64(q.cfg.MaxBatch)
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

// take removes enough trees for about one call.
func (q *Queue) take() (batch []entry, closed bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.sending = q.waiting.take(q.cfg.MaxBatch, maxBatchBytes)
	for _, e := range q.sending {
		q.bytes += e.bytes
	}
	return q.sending, q.closed
}

// sampled reports whether the sampler keeps a tree. It decides by the tree's first span, which is its root or belongs
// to the same trace.
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
