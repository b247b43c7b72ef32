// SPDX-License-Identifier: Apache-2.0

package otlp

import (
	"fmt"

	"go.opentelemetry.io/otel/attribute"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/export"
)

const (
	tagResourceSpans = 1<<3 | bytesType // ExportTraceServiceRequest.resource_spans
	tagScopes        = 2<<3 | bytesType // ResourceSpans.scope_spans
)

// request is an ExportTraceServiceRequest made of encoded batches.
type request struct {
	resources []*resourceSpans
	size      int
}

// resourceSpans is a ResourceSpans message of size bytes: head is the encoded resource, and the scopes follow.
type resourceSpans struct {
	head   []byte
	scopes []*scopeSpans
	size   int
}

// scopeSpans is a ScopeSpans message of size bytes: head is the encoded scope, and the spans of the batches follow.
type scopeSpans struct {
	head    []byte
	batches []*batch
	size    int
}

// newRequest groups batches by resource and scope. Within each group, batches keep their order.
func newRequest(batches []export.Batch) *request {
	r := &request{}
	scopes := make(map[originKey]*scopeSpans)
	resources := make(map[attribute.Distinct]*resourceSpans)
	var last *origin
	var to *scopeSpans
	for _, b := range batches {
		b := b.(*batch)
		if b.origin != last { // trees of one program are often consecutive
			last = b.origin
			var known bool
			if to, known = scopes[last.key]; !known {
				to = &scopeSpans{head: last.scope, size: len(last.scope)}
				scopes[last.key] = to
				of, known := resources[last.key.resource]
				if !known {
					of = &resourceSpans{head: last.resource, size: len(last.resource)}
					resources[last.key.resource] = of
					r.resources = append(r.resources, of)
				}
				of.scopes = append(of.scopes, to)
			}
		}
		to.batches = append(to.batches, b)
		to.size += len(b.bytes)
	}
	for _, of := range r.resources {
		for _, scope := range of.scopes {
			of.size += 1 + protowire.SizeBytes(scope.size)
		}
		r.size += 1 + protowire.SizeBytes(of.size)
	}
	return r
}

// append appends the encoded request to b.
func (r *request) append(b []byte) []byte {
	for _, of := range r.resources {
		b = protowire.AppendVarint(append(b, tagResourceSpans), uint64(of.size))
		b = append(b, of.head...)
		for _, scope := range of.scopes {
			b = protowire.AppendVarint(append(b, tagScopes), uint64(scope.size))
			b = append(b, scope.head...)
			for _, batch := range scope.batches {
				b = append(b, batch.bytes...)
			}
		}
	}
	return b
}

// codec passes the bytes of a request to gRPC. The name of the codec is empty so that the content type remains that of
// the default codec.
type codec struct{}

func (codec) Name() string { return "" }

func (codec) Marshal(v any) (mem.BufferSlice, error) {
	r, ok := v.(*request)
	if !ok {
		return nil, fmt.Errorf("marshal %T: not a request", v)
	}
	pool := mem.DefaultBufferPool()
	buffer := pool.Get(r.size)
	*buffer = r.append((*buffer)[:0])
	return mem.BufferSlice{mem.NewBuffer(buffer, pool)}, nil
}

func (codec) Unmarshal(data mem.BufferSlice, v any) error {
	response, ok := v.(*collector.ExportTraceServiceResponse)
	if !ok {
		return fmt.Errorf("unmarshal %T: not a response", v)
	}
	b := data.MaterializeToBuffer(mem.DefaultBufferPool())
	defer b.Free()
	return proto.Unmarshal(b.ReadOnlyData(), response)
}
