// SPDX-License-Identifier: Apache-2.0

package otlp

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/export"
	"github.com/crau-otel/crau-otel/mapping"
	"github.com/crau-otel/crau-otel/mapping/memo"
)

// Config configures an Exporter.
type Config struct {
	Connection Connection    // required
	Headers    metadata.MD   // sent with every call
	Timeout    time.Duration // limit for each call; 0 if there is none
}

// Connection is the part of [grpc.ClientConn] that an Exporter needs.
type Connection interface {
	Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error
	Close() error
}

// Exporter sends trees over OTLP/gRPC. It implements [export.Exporter]. Methods are safe for concurrent use.
type Exporter struct {
	cfg Config

	mu        sync.Mutex // guards the fields below, which only Encode uses
	encoder   encoder
	origins   memo.Table[originPointer, *origin]
	scratch   []byte
	allocator allocator
}

// New returns an exporter. The exporter's Shutdown closes the connection.
func New(cfg Config) (*Exporter, error) {
	if cfg.Connection == nil {
		return nil, errors.New("otlp: a connection is required")
	}
	return &Exporter{
		cfg:     cfg,
		encoder: newEncoder(),
		origins: memo.New[originPointer, *origin](rememberedOrigins),
	}, nil
}

// maxScratch is the largest buffer, in bytes, that Encode keeps for the next tree.
const maxScratch = 1 << 20

// Encode returns the spans of a tree in the form in which they are sent. It fails if any text is not UTF-8, because
// protobuf cannot carry such text.
func (e *Exporter) Encode(t mapping.Tree) (export.Batch, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	origin, err := e.origin(t.Resource, t.Scope)
	if err != nil {
		return nil, fmt.Errorf("encode resource: %w", err)
	}
	b := e.scratch[:0]
	for i := range t.Spans {
		if b, err = e.encoder.append(b, &t.Spans[i]); err != nil {
			return nil, fmt.Errorf("encode span: %w", err)
		}
	}
	if cap(b) <= maxScratch {
		e.scratch = b
	}
	bytes, chunk := e.allocator.copy(b)
	return &batch{origin, len(t.Spans), bytes, chunk}, nil
}

const exportMethod = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"

// Export implements [export.Exporter].
func (e *Exporter) Export(ctx context.Context, batches []export.Batch) error {
	if e.cfg.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, e.cfg.Timeout)
		defer cancel()
	}
	if len(e.cfg.Headers) > 0 {
		ctx = metadata.NewOutgoingContext(ctx, e.cfg.Headers)
	}
	var response collector.ExportTraceServiceResponse
	err := e.cfg.Connection.Invoke(ctx, exportMethod, newRequest(batches), &response, grpc.ForceCodecV2(codec{}))
	if err != nil {
		return refusal(fmt.Errorf("traces export: %w", err))
	}
	if partial := response.GetPartialSuccess(); partial.GetRejectedSpans() != 0 || partial.GetErrorMessage() != "" {
		return &export.PartialError{Rejected: int(partial.GetRejectedSpans()), Message: partial.GetErrorMessage()}
	}
	return nil
}

// Reconnect replaces the connection, so that later calls use the current certificate files, and returns the names of
// the files. If there are no files, or if they cannot be used, the connection is not replaced.
func (e *Exporter) Reconnect() (files []string, err error) {
	c, ok := e.cfg.Connection.(*connection)
	if !ok || len(c.files) == 0 {
		return nil, nil
	}
	return c.files, c.renew()
}

// Shutdown closes the connection. gRPC takes several seconds for that if the receiver does not read; Shutdown returns
// when ctx ends, even if closing takes longer.
func (e *Exporter) Shutdown(ctx context.Context) error { return closeWithin(ctx, e.cfg.Connection) }

func closeWithin(ctx context.Context, connection Connection) error {
	closed := make(chan error, 1)
	go func() { closed <- connection.Close() }()
	select {
	case err := <-closed:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
