// SPDX-License-Identifier: Apache-2.0

package export

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/crau-otel/crau-otel/mapping"
)

// Exporter sends trees to a receiver. It must allow calls of Encode while Export runs.
type Exporter interface {
	// Encode returns a tree in the form in which it is queued and sent. The result shares no memory with the tree.
	Encode(t mapping.Tree) (Batch, error)
	// Export sends batches in one call. It returns nil if the receiver accepted all spans, and a [*PartialError] if the
	// receiver accepted the call, but rejected some spans or sent a warning. If the call failed, a [*RefusedError] says
	// how to proceed, [context.DeadlineExceeded] means that the call may be retried, and any other error that a retry
	// cannot succeed.
	Export(ctx context.Context, batches []Batch) error
	// Shutdown closes connections. It returns when ctx ends, even if closing takes longer.
	Shutdown(ctx context.Context) error
}

// Batch is an encoded tree, or a part of an encoded tree.
type Batch interface {
	// Size returns the number of spans, and the approximate number of bytes that the spans take in memory and on the wire.
	Size() (spans, bytes int)
	// Split divides the batch in two. first has at most the given numbers of spans and bytes, but at least one span; rest
	// has the other spans. If there are no other spans, or if the batch cannot be divided, first is the whole batch and
	// rest is nil. Both share the memory of the batch.
	Split(spans, bytes int) (first, rest Batch)
	// Release returns the memory of a batch, and of its parts, to the exporter. It is called once for each batch that
	// Encode returned, and never for a part.
	Release()
}

// ErrClosed is wrapped by the error of Export if nobody can read the output any more, such as a pipe that the reading
// program has closed.
var ErrClosed = errors.New("closed by its reader")

// PartialError reports that the receiver accepted a call, except for some of its spans. It is unknown which spans were
// rejected.
type PartialError struct {
	Rejected int    // number of rejected spans; 0 if Message is only a warning
	Message  string // text from the receiver
}

// Error implements error.
func (e *PartialError) Error() string {
	return fmt.Sprintf("receiver rejected %d spans: %s", e.Rejected, e.Message)
}

// RefusedError reports that a call failed, and how to proceed.
type RefusedError struct {
	Err    error // reason of the failure
	Action Action
	After  time.Duration // wait that the receiver asks for, which only Retry obeys; 0 if there is none
	// Delivered is the number of batches that were delivered before the failure: the first ones of the call.
	Delivered int
}

// Error implements error.
func (e *RefusedError) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *RefusedError) Unwrap() error { return e.Err }

// Action is what to do after a call that failed.
type Action int

// The values of Action.
const (
	GiveUp Action = iota // do not retry
	Retry                // retry the same call later
	Split                // make smaller calls, because the receiver refused the size
	Slow                 // retry later, then make smaller calls: either the rate or the size was refused
)

// None is an exporter that discards everything.
type None struct{}

// Encode implements [Exporter].
func (None) Encode(t mapping.Tree) (Batch, error) { return discarded(len(t.Spans)), nil }

// Export implements [Exporter].
func (None) Export(context.Context, []Batch) error { return nil }

// Shutdown implements [Exporter].
func (None) Shutdown(context.Context) error { return nil }

// discarded is the batch of [None]. Its value is the number of spans.
type discarded int

func (d discarded) Size() (spans, bytes int)      { return int(d), 0 }
func (d discarded) Split(int, int) (Batch, Batch) { return d, nil }
func (d discarded) Release()                      {}
