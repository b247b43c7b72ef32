// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
)

// countingServer returns a server that only counts spans, without decoding them.
func (r *Receiver) countingServer() *grpc.Server {
	// With large windows and buffers, the server sends fewer window updates and makes fewer system calls for reading,
	// which take most of its CPU time.
	options := append([]grpc.ServerOption{
		grpc.ForceServerCodecV2(countingCodec{}), grpc.UnknownServiceHandler(r.count), grpc.MaxRecvMsgSize(64 << 20),
		grpc.InitialWindowSize(16 << 20), grpc.InitialConnWindowSize(16 << 20), grpc.ReadBufferSize(256 << 10),
	}, r.cfg.Options...)
	return grpc.NewServer(options...)
}

// count answers any method with an empty message, which is a valid OTLP response.
func (r *Receiver) count(_ any, stream grpc.ServerStream) error {
	var request countedMessage
	if err := stream.RecvMsg(&request); err != nil {
		return err
	}
	if method, _ := grpc.MethodFromServerStream(stream); strings.HasSuffix(method, "TraceService/Export") {
		r.Calls.Add(1)
		r.Bytes.Add(uint64(request.size))
		r.Accepted.Add(request.spans)
	}
	return stream.SendMsg(&countedMessage{})
}

// countedMessage is what is kept of a request.
type countedMessage struct {
	size  int
	spans uint64
}

// countingCodec is a gRPC codec that counts the spans of requests and writes empty responses.
type countingCodec struct{}

func (countingCodec) Name() string { return "proto" }

func (countingCodec) Marshal(any) (mem.BufferSlice, error) { return nil, nil }

func (countingCodec) Unmarshal(data mem.BufferSlice, v any) error {
	b := data.MaterializeToBuffer(mem.DefaultBufferPool())
	defer b.Free()
	*v.(*countedMessage) = countedMessage{size: b.Len(), spans: countSpans(b.ReadOnlyData())}
	return nil
}

// countSpans returns the number of spans in an ExportTraceServiceRequest: its field 1, resource_spans, has a field 2,
// scope_spans, which has a field 2, spans.
func countSpans(request []byte) (n uint64) {
	forEachField(request, 1, func(resource []byte) {
		forEachField(resource, 2, func(scope []byte) {
			forEachField(scope, 2, func([]byte) { n++ })
		})
	})
	return n
}

// forEachField calls f for every embedded message with that field number.
func forEachField(b []byte, number protowire.Number, f func([]byte)) {
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
