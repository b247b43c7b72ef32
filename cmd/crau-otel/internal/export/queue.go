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

// Config configures a Queue. If a field is zero, the value of the OTEL_BSP_* or OTEL_TRACES_SAMPLER variable that its
// comment names applies, as in the OpenTelemetry specification, or else the default.
type Config struct {
	Exporter Exporter                // required
	Sampler  sdktrace.Sampler        // keeps or drops trees, by their first span; OTEL_TRACES_SAMPLER, default: keeps all
	Keep     func(mapping.Tree) bool // whether to export a tree even if the sampler drops it; default: no tree
	MaxQueue int                     // number of spans that may wait; OTEL_BSP_MAX_QUEUE_SIZE, default 131072
	MaxBytes int                     // bytes of spans that wait or are being sent; one tree may exceed it; default 32 MiB
	MaxBatch int                     // spans per call of the exporter; OTEL_BSP_MAX_EXPORT_BATCH_SIZE, default 2048
	Delay    time.Duration           // longest wait for a batch to fill; OTEL_BSP_SCHEDULE_DELAY, default 200 ms
	Timeout  time.Duration           // longest duration of a call; OTEL_BSP_EXPORT_TIMEOUT, default 30 s
	Closed   func()                  // called once, after Export has returned ErrClosed
	Limits   *limits.Monitor         // counts spans that are dropped because the queue is full; default: a new Monitor
	Log      *slog.Logger            // default: discards all lines
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

// Stats counts spans and hits by the outcome of their trees.
type Stats struct {
	Exported   Count // accepted by the receiver
	Failed     Count // lost: not encodable, refused, or not sent in the time for shutting down
	QueueFull  Count // lost: there was no room in the queue
	SampledOut Count // dropped by the sampler
	Waiting    Count // in the queue now

	QueueFullOf mapping.ClassCounts // QueueFull.Events by class of owner
}

// Queue holds encoded trees until its worker, a goroutine, has passed them to the exporter. Methods are safe for
// concurrent use.
type Queue struct {
	cfg  Config
	wake chan struct{} // signals the worker that trees wait, or that the queue was closed
	done chan struct{} // closed when the worker has ended
	full chan struct{} // signals the worker that a tree was dropped because the queue is full

	closing chan struct{} // closed by Close, after it has set end
	end     time.Time     // end of the time for shutting down; zero if there is no limit

	// stop cancels ctx, and so a call of the exporter, when the time for shutting down is over.
	ctx  context.Context
	stop context.CancelFunc

	mu        sync.Mutex
	waiting   waiting
	sending   []entry // trees that the worker has taken, and whose outcome is not counted yet
	bytes     int     // bytes of the trees in sending
	stats     Stats   // counters; Waiting is not used
	closed    bool
	abandoned bool // abandon has counted all trees as failed

	lost, rejected, warned Occasion // times of the latest log lines about lost spans, rejected spans and warnings

	// Only the worker uses the following two fields.
	failing  bool // the latest call to the exporter failed and is being retried
	accepted int  // bytes of the largest call that the receiver accepted; smaller calls are not too large

	closeOnce sync.Once
	closeErr  error
	gone      sync.Once // calls Config.Closed
}

const (
	// maxBatchBytes is the largest size of a call of the exporter; MaxBatch limits its spans. A call may be larger only if
	// its single batch cannot be divided. The limit is below the 4 MiB that receivers accept by default, because several
	// copies of a message are in memory at the same time.
	maxBatchBytes = 2 << 20
	// grace is how long Close waits for the exporter to return after the time for shutting down is over.
	grace = 500 * time.Millisecond
)

// NewQueue starts a queue. The caller must close the queue.
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

// Put adds a finished tree. The caller may reuse the memory of the tree after the call. Put never waits for the
// receiver: if there is no room, this tree or another one is dropped and counted.
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
	if !admitted { // the tree would be dropped after it was encoded
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

// admit queues an encoded tree of a program and reports true if there is room, or if it can make room by evicting trees
// of an owner or program that uses more of the queue. The queue must be locked.
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

// drop counts a tree that is dropped because there is no room, and logs such losses at intervals. The queue must be
// locked.
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

// signal sends to c, which must have a buffer of one, unless the buffer is full: one pending signal is enough.
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

// Close exports the waiting trees and shuts the exporter down. If ctx ends first, Close counts the remaining trees as
// failed and returns an error, even if the exporter is stuck in a call. Further calls return the same result.
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

// work is the worker: it exports trees until the queue is closed and empty.
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

// fillUp waits until enough trees for a full call wait, Config.Delay is over, or the queue is closed.
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

// take removes trees for about one call from the queue, and reports whether the queue is closed.
func (q *Queue) take() (batch []entry, closed bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.sending = q.waiting.take(q.cfg.MaxBatch, maxBatchBytes)
	for _, e := range q.sending {
		q.bytes += e.bytes
	}
	return q.sending, q.closed
}

// sampled reports whether the sampler keeps a tree. The sampler decides by the first span of t, which is the root of
// the tree or, if t is only a part of a tree, belongs to the same trace.
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
