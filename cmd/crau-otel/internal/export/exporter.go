// SPDX-License-Identifier: Apache-2.0

package export

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/crau-otel/crau-otel/mapping"
)

// Exporter sends trees to a receiver. Encode may be called while Export runs.
type Exporter interface {
	// Encode returns a tree in the form that is queued and sent. The result shares no memory with the tree.
	Encode(t mapping.Tree) (Batch, error)
	// Export sends batches in one call. It returns nil if all spans were accepted, and a [*PartialError] if only some
	// were. A [*RefusedError] says how to proceed. Any other error means that a retry cannot succeed.
	Export(ctx context.Context, batches []Batch) error
	// Shutdown closes connections. It returns when ctx ends, even if closing takes longer.
	Shutdown(ctx context.Context) error
}

// Batch is an encoded tree, or a part of one.
type Batch interface {
	// Size returns the number of spans and approximately how many bytes they take, in memory and on the wire.
	Size() (spans, bytes int)
	// Split returns a first part with at most the given numbers of spans and bytes, but at least one span, and the rest.
	// rest is nil if nothing remains or if the batch cannot be divided. The parts use the batch's memory.
	Split(spans, bytes int) (first, rest Batch)
	// Release returns the memory of a batch, and of its parts, to the exporter. It is called once, for the batch that
	// Encode returned.
	Release()
}

// ErrClosed is returned by Export, wrapped, if the output has no reader any more.
var ErrClosed = errors.New("closed by its reader")

// PartialError reports that a call was accepted except for some spans. It is unknown which.
type PartialError struct {
	Rejected int    // spans; 0: the message is only a warning
	Message  string // from the receiver
}

// Error implements error.
func (e *PartialError) Error() string {
	return fmt.Sprintf("receiver rejected %d spans: %s", e.Rejected, e.Message)
}

// RefusedError reports that a call failed, and how to proceed.
type RefusedError struct {
	Err    error // why
	Action Action
	After  time.Duration // with Retry: how long the receiver asks to wait; 0 if it does not
	// Delivered is how many batches of the call, counted from the first, were delivered in spite of the error.
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
	Split                // make smaller calls, because the size was refused
	Slow                 // the size or the rate was refused; the receiver does not say which
)

// None is an exporter that discards everything.
type None struct{}

// Encode implements [Exporter].
func (None) Encode(t mapping.Tree) (Batch, error) { return discarded(len(t.Spans)), nil }

// Export implements [Exporter].
func (None) Export(context.Context, []Batch) error { return nil }

// Shutdown implements [Exporter].
func (None) Shutdown(context.Context) error { return nil }

// discarded is a number of spans.
type discarded int

func (d discarded) Size() (spans, bytes int)      { return int(d), 0 }
func (d discarded) Split(int, int) (Batch, Batch) { return d, nil }
func (d discarded) Release()                      {}
