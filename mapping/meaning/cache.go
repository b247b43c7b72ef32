// SPDX-License-Identifier: Apache-2.0

package meaning

import (
	"hash/maphash"

	"github.com/crau-otel/crau-otel/mapping/memo"
	"github.com/crau-otel/crau-otel/mapping/shape"
)

// cache stores the meanings of shapes: finding an equal shape takes a tenth of the time of interpreting it. A shape is
// stored only when it occurs a second time, so that shapes that never repeat take no memory.
type cache struct {
	seed     maphash.Seed
	entries  memo.Table[uint64, *entry]   // keyed by the hash of the shape
	seen     memo.Table[uint64, struct{}] // hashes of recent shapes
	template uint64                       // highest template number in use: see Meaning.Template
	bytes    int                          // approximate memory use of the entries
}

// entry is a shape with its meaning.
type entry struct {
	shape   shape.Shape
	meaning Meaning
	bytes   int
}

const (
	maxEntries    = 512
	maxBytes      = 2 << 20       // limit for all entries together
	maxEntryBytes = maxBytes / 32 // limit for one entry
)

func newCache() cache {
	return cache{
		seed:    maphash.MakeSeed(),
		entries: memo.New[uint64, *entry](maxEntries),
		seen:    memo.New[uint64, struct{}](maxEntries),
	}
}

func (c *cache) hash(s *shape.Shape) uint64 { return s.Hash(c.seed) }

// find returns the stored meaning of a shape equal to s, or nil. hash must be the hash of s.
func (c *cache) find(hash uint64, s *shape.Shape) *Meaning {
	if e := c.entries.Get(hash, hash); e != nil && (*e).shape.Equal(s) {
		return &(*e).meaning
	}
	return nil
}

// remember stores a copy of the meaning m of s if s occurs for the second time and is not too large. It returns the
// copy, or nil if it did not store one.
func (c *cache) remember(hash uint64, s *shape.Shape, m *Meaning) *Meaning {
	if c.seen.Get(hash, hash) == nil {
		c.seen.Put(hash, hash, struct{}{})
		return nil
	}
	size := s.Size() + m.size()
	if size > maxEntryBytes {
		return nil
	}
	if c.bytes+size > maxBytes {
		c.forget()
	}
	e := &entry{shape: s.Clone(), meaning: m.clone(), bytes: size}
	e.meaning.Template = c.template + 1
	c.template += uint64(len(m.Spans))
	c.bytes += size
	if replaced := c.entries.Put(hash, hash, e); replaced != nil {
		c.bytes -= replaced.bytes
	}
	return &e.meaning
}

// forget empties the cache. It does not reset the template numbers, which must not be reused.
func (c *cache) forget() {
	c.entries.Clear()
	c.seen.Clear()
	c.bytes = 0
}
