// SPDX-License-Identifier: Apache-2.0

package console

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"syscall"
	"time"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/export"
	"github.com/crau-otel/crau-otel/mapping"
)

// The values of [Config.Format].
const (
	FormatText = "text"
	FormatJSON = "json"
)

const defaultWidth = 120

// Config configures an Exporter. Writer is required; other fields have defaults, which their zero values select.
type Config struct {
	Writer io.Writer
	// Format is FormatText, the default, or FormatJSON.
	Format string
	// Color adds ANSI colours to text.
	Color bool
	// Width is the number of columns after which text wraps between attributes; 120 by default.
	Width int
}

// Exporter writes trees, each with a single call of Write, regardless of the number of spans. It implements
// [export.Exporter].
type Exporter struct {
	render func(*node) ([]byte, error)

	mu     sync.Mutex // guards the fields below
	writer io.Writer
	closed bool
}

// New returns an exporter. It never closes the writer.
func New(cfg Config) *Exporter {
	e := &Exporter{writer: cfg.Writer, render: renderJSON}
	if cfg.Format != FormatJSON {
		e.render = newPainter(cfg, time.Local).render
	}
	return e
}

// batch is a tree that waits to be written.
type batch struct {
	tree  mapping.Tree
	bytes int // approximate size in memory
}

// Approximate sizes in memory of a span and of one of its attributes, in bytes, without their text.
const (
	spanBytes      = 400
	attributeBytes = 64
)

// Encode returns a copy of the tree. Export renders the copy later, so that rendering does not delay the caller of
// Encode.
func (e *Exporter) Encode(t mapping.Tree) (export.Batch, error) {
	b := &batch{tree: t.Clone()}
	for i := range b.tree.Spans {
		b.bytes += spanBytes
		for _, a := range b.tree.Spans[i].Attributes() {
			b.bytes += attributeBytes + len(a.Value.AsString())
		}
	}
	return b, nil
}

// Size implements [export.Batch].
func (b *batch) Size() (spans, bytes int) { return len(b.tree.Spans), b.bytes }

// Split returns b unchanged, because a tree is written in one piece.
func (b *batch) Split(int, int) (first, rest export.Batch) { return b, nil }

// Release implements [export.Batch].
func (b *batch) Release() {}

// Export writes trees. A span whose parent is not among the earlier spans of its batch is drawn as the root of a
// separate tree. Export stops after an error of the writer, when ctx is done, and after Shutdown.
func (e *Exporter) Export(ctx context.Context, batches []export.Batch) error {
	for i, b := range batches {
		if err := ctx.Err(); err != nil {
			return &export.RefusedError{Err: err, Action: export.Retry, Delivered: i}
		}
		var text []byte
		for _, root := range forest(&b.(*batch).tree) {
			drawn, err := e.render(root)
			if err != nil {
				return &export.RefusedError{Err: err, Delivered: i}
			}
			text = append(text, drawn...)
		}
		if err := e.write(text); err != nil {
			return &export.RefusedError{Err: err, Delivered: i}
		}
	}
	return nil
}

func (e *Exporter) write(text []byte) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return errors.New("write span tree: exporter is shut down")
	}
	if _, err := e.writer.Write(text); errors.Is(err, syscall.EPIPE) {
		return fmt.Errorf("write span tree: %w", export.ErrClosed)
	} else if err != nil {
		return fmt.Errorf("write span tree: %w", err)
	}
	return nil
}

// Shutdown makes later exports fail.
func (e *Exporter) Shutdown(context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closed = true
	return nil
}
