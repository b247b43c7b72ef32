// SPDX-License-Identifier: Apache-2.0

package export

import (
	"context"
	"errors"
	"time"

	"github.com/cenkalti/backoff/v5"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// While a receiver is away, its next try is at most so far off.
const maxBackoff = 5 * time.Second

// deliver hands trees over and counts what became of each. Trees that are too large together are handed over apart.
func (q *Queue) deliver(trees []entry) {
	spans := make([]sdktrace.ReadOnlySpan, 0, q.cfg.MaxBatch)
	for _, t := range trees {
		spans = append(spans, t.spans...)
	}
	err := q.send(spans, len(trees) == 1)
	if len(trees) > 1 && tooLarge(err) {
		q.deliver(trees[:len(trees)/2])
		q.deliver(trees[len(trees)/2:])
		return
	}
	if q.cfg.Release != nil {
		q.cfg.Release(spans)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.abandoned {
		return
	}
	for _, t := range trees {
		q.bytes -= t.bytes
	}
	q.batch = q.batch[len(trees):]
	to := &q.stats.Exported
	if err != nil {
		to = &q.stats.Failed
	}
	for _, t := range trees {
		to.sum(t.Count)
	}
	if err != nil {
		q.warn(err)
	}
}

// warn logs that spans are lost, at times. The queue is locked.
func (q *Queue) warn(err error) {
	if time.Since(q.lastWarn) >= warnEvery {
		q.lastWarn = time.Now()
		q.cfg.Log.Warn("spans are lost: cannot export them", "error", err, "failed_spans", q.stats.Failed.Spans)
	}
}

// send hands spans over in calls of at most MaxBatch and maxBatchBytes, and in smaller ones if apart and the receiver refuses the size.
func (q *Queue) send(spans []sdktrace.ReadOnlySpan, apart bool) error {
	for len(spans) > 0 {
		n, bytes := 1, sizeOf(spans[0])
		for n < min(len(spans), q.cfg.MaxBatch) && bytes+sizeOf(spans[n]) <= maxBatchBytes {
			bytes += sizeOf(spans[n])
			n++
		}
		err := q.try(spans[:n])
		if apart && n > 1 && tooLarge(err) {
			err = errors.Join(q.send(spans[:n/2], apart), q.send(spans[n/2:n], apart))
		}
		if err != nil {
			return err
		}
		spans = spans[n:]
	}
	return nil
}

// try calls the exporter until it succeeds, fails for good, or the time to shut down is over. Meanwhile trees wait in
// the queue as long as there is room.
func (q *Queue) try(spans []sdktrace.ReadOnlySpan) error {
	wait := backoff.NewExponentialBackOff()
	wait.MaxInterval = maxBackoff
	for {
		err := q.call(spans)
		if err == nil && q.failing {
			q.failing = false
			q.cfg.Log.Info("spans are exported again", "waiting_spans", q.Stats().Waiting.Spans)
		}
		if err == nil || !temporary(err) || q.ctx.Err() != nil {
			return err
		}
		if !q.failing {
			q.failing = true
			q.cfg.Log.Warn("cannot export spans yet, trying again", "error", err)
		}
		select {
		case <-time.After(wait.NextBackOff()):
		case <-q.ctx.Done():
			return err
		}
	}
}

func (q *Queue) call(spans []sdktrace.ReadOnlySpan) error {
	if err := q.ctx.Err(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(q.ctx, q.cfg.Timeout)
	defer cancel()
	return q.cfg.Exporter.ExportSpans(ctx, spans)
}

// temporary reports whether it makes sense to try again: the codes are those of the OTLP specification, "Failures" of
// OTLP/gRPC.
func temporary(err error) bool {
	if errors.Is(err, context.DeadlineExceeded) {
		return true
	}
	switch status.Code(err) {
	case codes.Canceled, codes.DeadlineExceeded, codes.Aborted, codes.OutOfRange, codes.Unavailable, codes.DataLoss:
		return true
	case codes.ResourceExhausted:
		return throttled(err)
	default:
		return false
	}
}

// tooLarge reports whether the receiver, or the transport, refused the size of the message.
func tooLarge(err error) bool {
	return status.Code(err) == codes.ResourceExhausted && !throttled(err)
}

// throttled reports whether the receiver asks to come back later.
func throttled(err error) bool {
	for _, detail := range status.Convert(err).Details() {
		if _, ok := detail.(*errdetails.RetryInfo); ok {
			return true
		}
	}
	return false
}
