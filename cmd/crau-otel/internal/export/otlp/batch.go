// SPDX-License-Identifier: Apache-2.0

package otlp

import (
	"sync"
	"sync/atomic"
	"unsafe"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/export"
)

// batch holds the encoded spans of a tree, or of a part of a tree.
type batch struct {
	origin *origin
	spans  int
	bytes  []byte // elements of ScopeSpans.spans, one after the other
	chunk  *chunk // chunk that contains bytes; nil if bytes was allocated separately
}

// Size implements [export.Batch].
func (b *batch) Size() (spans, bytes int) { return b.spans, len(b.bytes) + int(unsafe.Sizeof(*b)) }

// Split implements [export.Batch].
func (b *batch) Split(spans, bytes int) (first, rest export.Batch) {
	n, size := 0, 0
	for size < len(b.bytes) {
		length, width := protowire.ConsumeVarint(b.bytes[size+1:])
		next := size + 1 + width + int(length)
		if n > 0 && (n == spans || next+int(unsafe.Sizeof(*b)) > bytes) {
			break
		}
		n, size = n+1, next
	}
	if n >= b.spans {
		return b, nil
	}
	return &batch{b.origin, n, b.bytes[:size:size], b.chunk}, &batch{b.origin, b.spans - n, b.bytes[size:], b.chunk}
}

// Release implements [export.Batch].
func (b *batch) Release() {
	if b.chunk != nil {
		b.chunk.release()
	}
}

// chunkBytes is the size of a chunk.
const chunkBytes = 32 << 10

// chunk is memory for the bytes of several batches. It is reused when all these batches were released, because getting
// memory from the kernel takes about as much time as encoding the spans.
type chunk struct {
	pool  *sync.Pool
	bytes []byte
	uses  atomic.Int32 // number of unreleased batches, plus one for the exporter while it fills the chunk
}

func (c *chunk) release() {
	if c.uses.Add(-1) == 0 {
		c.bytes = c.bytes[:0]
		c.pool.Put(c)
	}
}

// allocator copies bytes into chunks.
type allocator struct {
	pool    sync.Pool // of *chunk
	current *chunk    // chunk that is being filled; nil if there is none
}

// copy returns a copy of b and the chunk that contains the copy. If b is large, the copy is allocated separately and
// the chunk is nil.
func (a *allocator) copy(b []byte) ([]byte, *chunk) {
	if len(b) > chunkBytes/8 {
		return append([]byte(nil), b...), nil
	}
	if c := a.current; c != nil && len(b) > cap(c.bytes)-len(c.bytes) {
		c.release()
		a.current = nil
	}
	if a.current == nil {
		c, ok := a.pool.Get().(*chunk)
		if !ok {
			c = &chunk{pool: &a.pool, bytes: make([]byte, 0, chunkBytes)}
		}
		c.uses.Store(1)
		a.current = c
	}
	c := a.current
	c.uses.Add(1)
	start := len(c.bytes)
	c.bytes = append(c.bytes, b...)
	return c.bytes[start:len(c.bytes):len(c.bytes)], c
}
