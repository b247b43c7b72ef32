// SPDX-License-Identifier: Apache-2.0

// Command blocksize estimates the size of spans in a backend that stores them in Parquet files. It receives spans over
// OTLP/gRPC until it is interrupted, writes them into a file with the columns that Tempo documents for its blocks, and
// prints the file's size. It is not Tempo: bloom filters and indexes are missing.
//
//	blocksize ADDRESS FILE
//
// docs/fleet.md has its results.
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/parquet-go/parquet-go"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: blocksize ADDRESS FILE")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "blocksize:", err)
		os.Exit(1)
	}
}

func run(address, file string) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	r := &receiver{rows: make(rows)}
	server := grpc.NewServer()
	collector.RegisterTraceServiceServer(server, r)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, server.GracefulStop)
	if err := server.Serve(listener); err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	all := r.rows.sorted()
	if len(all) == 0 {
		return errors.New("no spans were received")
	}
	size, err := write(file, all)
	if err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	fmt.Printf("%d traces, %d spans, %d bytes: %.0f a trace, %.0f a span\n", len(all), r.spans, size,
		float64(size)/float64(len(all)), float64(size)/float64(r.spans))
	return nil
}

// receiver is an OTLP trace service that keeps all spans.
type receiver struct {
	collector.UnimplementedTraceServiceServer

	mu    sync.Mutex
	rows  rows
	spans int
}

// Export implements [collector.TraceServiceServer]: it adds the spans of a request to the rows.
func (r *receiver) Export(
	_ context.Context, request *collector.ExportTraceServiceRequest,
) (*collector.ExportTraceServiceResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, rs := range request.GetResourceSpans() {
		r.spans += r.rows.add(rs)
	}
	return &collector.ExportTraceServiceResponse{}, nil
}

// write writes rows to a Parquet file and returns the file's size in bytes.
func write(file string, all []trace) (size int64, err error) {
	f, err := os.Create(file)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := parquet.NewGenericWriter[trace](f)
	if _, err := w.Write(all); err != nil {
		return 0, errors.Join(err, w.Close())
	}
	if err := w.Close(); err != nil {
		return 0, err
	}
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}
