// SPDX-License-Identifier: Apache-2.0

package meaning

import (
	"hash/maphash"

	"github.com/crau-otel/crau-otel/mapping/memo"
	"github.com/crau-otel/crau-otel/mapping/shape"
)

// cache remembers the meanings of shapes: finding an equal shape takes a tenth of the time of interpreting it. A shape
// is remembered when it comes the second time, so that a program that never repeats a shape costs no memory.
type cache struct {
	seed     maphash.Seed
	entries  memo.Table[uint64, *entry]   // by hash
	seen     memo.Table[uint64, struct{}] // hashes of recent shapes
	template uint64                       // number of the newest span that is remembered
	bytes    int                          // memory, approximately
}

// entry is a shape with its meaning.
type entry struct {
	shape   shape.Shape
	meaning Meaning
	bytes   int
}

const (
	maxEntries    = 512
	maxBytes      = 2 << 20       // for all entries
	maxEntryBytes = maxBytes / 32 // for one entry
)

func newCache() cache {
	return cache{
		seed:    maphash.MakeSeed(),
		entries: memo.New[uint64, *entry](maxEntries),
		seen:    memo.New[uint64, struct{}](maxEntries),
	}
}

func (c *cache) hash(s *shape.Shape) uint64 { return s.Hash(c.seed) }

// find returns the remembered meaning of an equal shape, or nil.
func (c *cache) find(hash uint64, s *shape.Shape) *Meaning {
	if e := c.entries.Get(hash, hash); e != nil && (*e).shape.Equal(s) {
		return &(*e).meaning
	}
	return nil
}

// remember keeps a copy of a meaning if its shape comes the second time and is not too large. It returns the copy, or
// nil if it made none.
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

// forget empties the cache. Template numbers are not used again.
func (c *cache) forget() {
	c.entries.Clear()
	c.seen.Clear()
	c.bytes = 0
}
