// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net"
	"strings"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
)

// receiver is an OTLP/gRPC server that counts spans. It leaves the rest of the messages as bytes, so that it takes
// little of the processors that it shares with what is measured.
type receiver struct {
	endpoint string
	address  string
	server   *grpc.Server
	spans    atomic.Uint64
	requests atomic.Uint64
	bytes    atomic.Uint64
}

func startReceiver() (*receiver, error) {
	r := &receiver{address: "127.0.0.1:0"}
	return r, r.listen()
}

// listen starts the receiver, anew at the same address if it was closed.
func (r *receiver) listen() error {
	l, err := net.Listen("tcp", r.address)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	r.address = l.Addr().String()
	r.endpoint = "http://" + r.address
	// Wide windows and buffers: fewer answers and reads, which are most of what a receiver takes.
	r.server = grpc.NewServer(grpc.ForceServerCodecV2(codec{}), grpc.UnknownServiceHandler(r.take),
		grpc.MaxRecvMsgSize(64<<20), grpc.InitialWindowSize(16<<20), grpc.InitialConnWindowSize(16<<20),
		grpc.ReadBufferSize(256<<10))
	go r.server.Serve(l) //nolint:errcheck // ends by Close
	return nil
}

func (r *receiver) Close() { r.server.Stop() }

// take answers any method with an empty message, which every OTLP response may be.
func (r *receiver) take(_ any, stream grpc.ServerStream) error {
	var request message
	if err := stream.RecvMsg(&request); err != nil {
		return err
	}
	if method, _ := grpc.MethodFromServerStream(stream); strings.HasSuffix(method, "TraceService/Export") {
		r.requests.Add(1)
		r.bytes.Add(uint64(request.size))
		r.spans.Add(request.spans)
	}
	return stream.SendMsg(&message{})
}

// message is what is kept of a request.
type message struct {
	size  int
	spans uint64
}

// countSpans counts the spans of an ExportTraceServiceRequest: its resource_spans (1) have scope_spans (2), which have
// spans (2).
func countSpans(request []byte) (n uint64) {
	fields(request, 1, func(resource []byte) {
		fields(resource, 2, func(scope []byte) {
			fields(scope, 2, func([]byte) { n++ })
		})
	})
	return n
}

// fields calls f for every message in the field of that number.
func fields(b []byte, number protowire.Number, f func([]byte)) {
	for len(b) > 0 {
		num, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return
		}
		b = b[n:]
		if num == number && kind == protowire.BytesType {
			v, n := protowire.ConsumeBytes(b)
			if n < 0 {
				return
			}
			f(v)
			b = b[n:]
			continue
		}
		if n = protowire.ConsumeFieldValue(num, kind, b); n < 0 {
			return
		}
		b = b[n:]
	}
}

// codec counts the spans of requests, whatever they are, and writes empty answers.
type codec struct{}

func (codec) Name() string { return "proto" }

func (codec) Marshal(any) (mem.BufferSlice, error) { return nil, nil }

func (codec) Unmarshal(data mem.BufferSlice, v any) error {
	b := data.MaterializeToBuffer(mem.DefaultBufferPool())
	defer b.Free()
	*v.(*message) = message{size: b.Len(), spans: countSpans(b.ReadOnlyData())}
	return nil
}
