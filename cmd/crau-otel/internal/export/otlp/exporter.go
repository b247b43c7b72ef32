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
	Timeout    time.Duration // for each call; 0: none
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

// New returns an exporter. Shutdown closes its connection.
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

// maxScratch bounds the memory that is reused for the next tree, in bytes.
const maxScratch = 1 << 20

// Encode returns the spans of a tree in the form in which they are sent. It fails if any text is not UTF-8, which
// protobuf cannot carry.
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

// Reconnect makes later calls use a new connection, which reads the certificate files again, and returns their names.
// If there are no files or they cannot be used, it changes nothing.
func (e *Exporter) Reconnect() (files []string, err error) {
	c, ok := e.cfg.Connection.(*connection)
	if !ok || len(c.files) == 0 {
		return nil, nil
	}
	return c.files, c.renew()
}

// Shutdown closes the connection. That takes gRPC several seconds if the receiver does not read; Shutdown waits until
// ctx ends.
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
