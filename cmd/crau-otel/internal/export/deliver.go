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
	// maxBackoff bounds the wait between two tries while a receiver is unavailable and does not say when to retry.
	maxBackoff = 5 * time.Second
	// maxFullRetryAfter bounds the wait that a receiver may ask for while spans are lost for lack of room in the queue.
	maxFullRetryAfter = time.Minute
	// lastTry is how long before the end of a shutdown a receiver is asked again that wants to be left alone for longer.
	lastTry = time.Second
	// maxSlowTries bounds the tries of a call if the receiver does not give a reason to retry. If it was refused because
	// of its size, retrying forever would block all other calls.
	maxSlowTries = 6
	// maxRateTries bounds them if the size cannot be the reason, because it was accepted before: two minutes or so.
	maxRateTries = 30
	// minSplitBytes is the size below which a call is not divided even if the receiver refuses its size.
	minSplitBytes = 1 << 10
)

// MaxRetryAfter bounds the wait that a receiver may ask for in any case: it may err.
const MaxRetryAfter = time.Hour

// part is an entry's batch, or a part of it.
type part struct {
	*delivery

	batch        Batch
	spans, bytes int
}

// delivery is an entry while it is being sent.
type delivery struct {
	entry

	rejected Count // spans rejected by a receiver that accepted the others
	err      error // why the whole entry is lost
}

// call is the content of one call of the exporter: whole trees, or a part of one.
type call struct {
	parts  []part
	halved bool // smaller than necessary, to test whether a smaller call is accepted
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

// divide returns the calls for a tree, which may be too large for one call.
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

// send makes calls in order, and replaces calls that are refused for their size by smaller ones.
func (q *Queue) send(calls []call) {
	tooLarge, refusal := math.MaxInt, error(nil) // the smallest size that was refused, in bytes, and the error
	for len(calls) > 0 {
		c := calls[0]
		calls = calls[1:]
		c.parts = slices.DeleteFunc(c.parts, func(p part) bool { return p.err != nil }) // a tree is lost as a whole
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
			q.accepted = 0 // the receiver may have another limit than before
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
				calls[i].halved = false // a smaller call helped, and may help again
			}
		}
	}
}

// bytes returns the approximate size of the call.
func (c call) bytes() (n int) {
	for _, p := range c.parts {
		n += p.bytes
	}
	return n
}

// halve returns two calls that replace one. Trees stay whole if possible.
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

// reject records that the receiver rejected some spans of the call. It is unknown which, so the loss is divided among
// the trees in proportion to their spans.
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

// settle counts the outcome of trees.
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

// warnLost logs at intervals that spans are lost. The queue must be locked.
func (q *Queue) warnLost(err error) {
	if q.lost.Due() {
		q.cfg.Log.Warn("spans are lost: cannot export them", "error", err, "failed_spans", q.stats.Failed.Spans)
	}
}

// try calls the exporter until it succeeds, fails permanently, or the time for shutting down is over. It returns how
// many spans the receiver rejected, and after a failure, how many parts were delivered. Meanwhile new trees wait in the
// queue, if there is room.
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
		slowTries = 2 // then try a smaller call
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

// pause waits before the next try, and reports whether there is time for one. The wait ends early, but not before least,
// when the queue can wait no longer: while it has no room, and at the end of a shutdown.
func (q *Queue) pause(delay, least time.Duration) bool {
	began := time.Now()
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-q.full: // before the wait
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

// warnPartial logs once in a while what a receiver says about a call that it accepted.
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

// actionAfter returns what to do after a call that failed.
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
