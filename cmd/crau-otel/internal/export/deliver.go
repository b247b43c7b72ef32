// SPDX-License-Identifier: Apache-2.0

package export

import (
	"context"
	"errors"
	"math"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v5"
)

const (
	// maxBackoff is the longest interval, before it is randomized, between two tries of a call while a receiver is
	// unavailable and does not say when to retry.
	maxBackoff = 5 * time.Second
	// maxFullRetryAfter is the longest wait that a receiver may ask for while spans are lost because the queue is full.
	maxFullRetryAfter = time.Minute
	// lastTry is how long before the end of the time for shutting down a call is retried even if the receiver asked to
	// wait longer.
	lastTry = time.Second
	// maxSlowTries is the largest number of tries of a call that the receiver refuses with [Slow]. If the reason is the
	// size of the call, retrying forever would block all other calls.
	maxSlowTries = 6
	// maxRateTries is used instead of maxSlowTries if the reason cannot be the size, because a call of this size was
	// accepted before. The tries take about two minutes.
	maxRateTries = 30
	// minSplitBytes is the size below which a call is not divided even if the receiver refuses its size.
	minSplitBytes = 1 << 10
)

// MaxRetryAfter is the longest wait that a receiver may ask for. Longer waits are shortened, because they may be a
// mistake.
const MaxRetryAfter = time.Hour

// part is the batch of an entry, or a part of that batch.
type part struct {
	*delivery

	batch        Batch
	spans, bytes int
}

// delivery is an entry while it is being sent.
type delivery struct {
	entry

	rejected Count // spans that the receiver rejected although it accepted their call
	err      error // reason why the whole entry is lost; nil if it is not
}

// call is the content of one call of the exporter: whole trees, or a part of one.
type call struct {
	parts  []part
	halved bool // a larger call was divided to test whether the receiver accepts a smaller one
}

// deliver sends trees and counts the outcome of each.
func (q *Queue) deliver(trees []entry) {
	deliveries := make([]delivery, len(trees))
	parts := make([]part, len(trees))
	for i, e := range trees {
		deliveries[i].entry = e
		parts[i] = newPart(&deliveries[i], e.batch)
	}
	calls := []call{{parts: parts}}
	if len(trees) == 1 {
		calls = q.divide(parts[0])
	}
	q.send(calls)
	for _, e := range trees {
		e.batch.Release()
	}
	q.settle(deliveries)
}

// divide returns the calls for a tree: several calls if the tree is too large for one.
func (q *Queue) divide(whole part) (calls []call) {
	for rest := whole.batch; rest != nil; {
		var first Batch
		first, rest = rest.Split(q.cfg.MaxBatch, maxBatchBytes)
		calls = append(calls, call{parts: []part{newPart(whole.delivery, first)}})
	}
	return calls
}

func newPart(d *delivery, b Batch) part {
	spans, bytes := b.Size()
	return part{d, b, spans, bytes}
}

// send makes the calls in order. If a call is refused because of its size, two smaller calls replace it.
func (q *Queue) send(calls []call) {
	tooLarge, refusal := math.MaxInt, error(nil) // smallest refused size in bytes, and the error for it
	for len(calls) > 0 {
		c := calls[0]
		calls = calls[1:]
		// If a part of a tree is lost, its other parts are not sent.
		c.parts = slices.DeleteFunc(c.parts, func(p part) bool { return p.err != nil })
		if len(c.parts) == 0 {
			continue
		}
		delivered, rejected, err := 0, 0, refusal
		if c.bytes() < tooLarge {
			delivered, rejected, err = q.try(c)
		}
		action := actionAfter(err)
		if action == Split {
			tooLarge, refusal = min(tooLarge, c.bytes()), err
		}
		if action == Slow && c.bytes() <= q.accepted {
			q.accepted = 0 // the receiver may have a lower limit than before
		} else if action == Split || action == Slow && !c.halved {
			if first, second, ok := c.halve(action == Slow); ok {
				calls = slices.Concat([]call{first, second}, calls)
				continue
			}
		}
		if err != nil {
			for _, p := range c.parts[delivered:] {
				p.err = err
			}
			continue
		}
		if rejected > 0 {
			c.reject(rejected)
		}
		if c.halved {
			for i := range calls {
				calls[i].halved = false // the smaller call was accepted, so the next ones may be divided, too
			}
		}
	}
}

// bytes returns the approximate size of the call in bytes.
func (c call) bytes() (n int) {
	for _, p := range c.parts {
		n += p.bytes
	}
	return n
}

// halve divides a call into two. It divides a tree only if the call has no other tree. halved is stored in both calls.
// ok is false if the call cannot be divided.
func (c call) halve(halved bool) (first, second call, ok bool) {
	if n := len(c.parts); n > 1 {
		return call{c.parts[: n/2 : n/2], halved}, call{c.parts[n/2:], halved}, true
	}
	p := c.parts[0]
	if p.spans < 2 || p.bytes <= minSplitBytes {
		return call{}, call{}, false
	}
	head, tail := p.batch.Split(p.spans/2, p.bytes)
	if tail == nil {
		return call{}, call{}, false
	}
	return call{[]part{newPart(p.delivery, head)}, halved}, call{[]part{newPart(p.delivery, tail)}, halved}, true
}

// reject records that the receiver rejected some spans of the call. It is unknown which spans, so the loss is divided
// among the trees in proportion to their numbers of spans.
func (c call) reject(spans int) {
	var all, before uint64
	for _, p := range c.parts {
		all += uint64(p.spans)
	}
	for _, p := range c.parts {
		after := before + uint64(p.spans)
		lost := after*uint64(spans)/all - before*uint64(spans)/all
		p.rejected.add(Count{Spans: lost})
		before = after
	}
}

// settle counts the outcome of trees, unless abandon has already counted them.
func (q *Queue) settle(deliveries []delivery) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.abandoned {
		return
	}
	q.sending, q.bytes = nil, 0
	var err error
	for i := range deliveries {
		d := &deliveries[i]
		if d.err != nil {
			q.stats.Failed.add(d.Count)
			err = d.err
			continue
		}
		if d.Spans > 0 {
			d.rejected.Events = d.Events * d.rejected.Spans / d.Spans
		}
		q.stats.Failed.add(d.rejected)
		d.subtract(d.rejected)
		q.stats.Exported.add(d.Count)
	}
	if errors.Is(err, ErrClosed) && q.cfg.Closed != nil {
		q.gone.Do(q.cfg.Closed)
	} else if err != nil {
		q.warnLost(err)
	}
}

// warnLost logs that spans are lost, at most once in logEvery. The queue must be locked.
func (q *Queue) warnLost(err error) {
	if q.lost.Due() {
		q.cfg.Log.Warn("spans are lost: cannot export them", "error", err, "failed_spans", q.stats.Failed.Spans)
	}
}

// try calls the exporter until the call succeeds, fails permanently, or the time for shutting down is over. rejected is
// the number of spans that the receiver rejected. After a failure, delivered is the number of parts that were delivered
// nevertheless. While try waits, new trees are queued if there is room.
func (q *Queue) try(c call) (delivered, rejected int, err error) {
	batches, spans := make([]Batch, len(c.parts)), 0
	for i, p := range c.parts {
		batches[i] = p.batch
		spans += p.spans
	}
	slowTries := maxSlowTries
	if c.bytes() <= q.accepted {
		slowTries = maxRateTries
	} else if _, _, ok := c.halve(true); ok && !c.halved {
		slowTries = 2 // afterwards, send divides the call
	}
	wait := backoff.NewExponentialBackOff()
	wait.MaxInterval = maxBackoff
	for slow := 1; ; {
		err := q.call(batches[delivered:])
		var refused *RefusedError
		if errors.As(err, &refused) {
			delivered += refused.Delivered
		}
		var partial *PartialError
		if errors.As(err, &partial) {
			rejected, err = min(max(0, partial.Rejected), spans), nil
			q.warnPartial(rejected, partial.Message)
		}
		if err == nil && q.failing {
			q.failing = false
			q.cfg.Log.Info("spans are exported again", "waiting_spans", q.Stats().Waiting.Spans)
		}
		least := wait.NextBackOff()
		delay := least
		if err == nil {
			q.accepted = max(q.accepted, c.bytes())
		}
		switch action := actionAfter(err); {
		case err == nil || q.ctx.Err() != nil:
			return delivered, rejected, err
		case action == Retry:
			if refused != nil && refused.After > 0 {
				delay = min(refused.After, MaxRetryAfter)
				least = min(least, delay)
			}
		case action == Slow && slow < slowTries:
			slow++
		default:
			return delivered, 0, err
		}
		if !q.failing {
			q.failing = true
			q.cfg.Log.Warn("cannot export spans yet; retrying", "error", err)
		}
		if !q.pause(delay, least) {
			return delivered, 0, err
		}
	}
}

// pause waits for delay before the next try, and reports whether there is time for a try. In two cases the wait is
// shorter than delay, but never shorter than least: if a tree is dropped because the queue is full, the wait is at most
// maxFullRetryAfter; during a shutdown, it ends lastTry before the time for shutting down is over.
func (q *Queue) pause(delay, least time.Duration) bool {
	began := time.Now()
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-q.full: // forgets that trees were dropped before the wait
	default:
	}
	atMost := func(limit time.Duration) {
		delay = min(delay, max(limit, least))
		timer.Reset(delay - time.Since(began))
	}
	full, closing := q.full, q.closing
	for {
		select {
		case <-timer.C:
			return true
		case <-full:
			full = nil
			atMost(maxFullRetryAfter)
		case <-closing:
			closing = nil
			if !q.end.IsZero() {
				atMost(q.end.Sub(began) - lastTry)
			}
		case <-q.ctx.Done():
			return false
		}
	}
}

// warnPartial logs, at most once in logEvery, what a receiver says about a call that it accepted.
func (q *Queue) warnPartial(rejected int, message string) {
	if rejected > 0 {
		if q.rejected.Due() {
			q.cfg.Log.Warn("spans are lost: the receiver rejected a part of a call", "rejected_spans", rejected,
				"message", message)
		}
	} else if q.warned.Due() {
		q.cfg.Log.Warn("the receiver accepted all spans with a warning", "message", message)
	}
}

func (q *Queue) call(batches []Batch) error {
	if err := q.ctx.Err(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(q.ctx, q.cfg.Timeout)
	defer cancel()
	return q.cfg.Exporter.Export(ctx, batches)
}

// actionAfter returns what to do after a call that failed with err.
func actionAfter(err error) Action {
	var refused *RefusedError
	switch {
	case errors.As(err, &refused):
		return refused.Action
	case errors.Is(err, context.DeadlineExceeded):
		return Retry
	default:
		return GiveUp
	}
}
