// SPDX-License-Identifier: Apache-2.0

package console

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// The values of [Config.Format].
const (
	FormatText = "text"
	FormatJSON = "json"
)

const defaultWidth = 120

// Config says where and how to write. The zero value of a field means its default, but Writer is required.
type Config struct {
	Writer io.Writer
	// Format is FormatText, the default, or FormatJSON.
	Format string
	// Color adds ANSI colours to text.
	Color bool
	// Width is the number of columns after which text wraps between attributes; default 120.
	Width int
}

// Exporter is a span exporter that writes each tree with a single Write.
type Exporter struct {
	render func(*node) ([]byte, error)

	mu     sync.Mutex // guards what follows
	writer io.Writer
	closed bool
}

var _ sdktrace.SpanExporter = (*Exporter)(nil)

// New returns an exporter as cfg says. It never closes the writer.
func New(cfg Config) *Exporter {
	e := &Exporter{writer: cfg.Writer, render: renderJSON}
	if cfg.Format != FormatJSON {
		e.render = newPainter(cfg, time.Local).render
	}
	return e
}

// ExportSpans writes the trees that spans form. A span whose parent is not before it in spans is the root of a tree of
// its own. The error, of the writer, of ctx or of a shut down exporter, leaves the trees from there on unwritten.
func (e *Exporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	for _, root := range forest(spans) {
		if err := ctx.Err(); err != nil {
			return err
		}
		text, err := e.render(root)
		if err != nil {
			return err
		}
		if err := e.write(text); err != nil {
			return err
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
	if _, err := e.writer.Write(text); err != nil {
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
