// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"hash/maphash"
	"slices"
	"unsafe"

	"go.opentelemetry.io/otel/attribute"
)

// patterns remembers what trees meant: a program does the same again and again, and to tell that a tree is like an
// earlier one takes a tenth of what it takes to judge it. Direct-mapped by a hash of the trees. A tree is learnt when it comes the
// second time, so that a program that never does the same twice costs no memory.
type patterns struct {
	seed  maphash.Seed
	known [maxPatterns]*pattern
	seen  [maxPatterns]uint64 // hashes of the trees that came last
	hash  uint64              // of the tree that was looked for last
	head  head                // likewise
	next  uint64              // number of the next span that is learnt
	bytes int                 // of memory, about
}

const (
	maxPatterns     = 512     // a power of two
	maxPatternBytes = 2 << 20 // of all patterns together, and a thirty-second of it for one
)

// pattern is all that a tree's meaning follows from, and the meaning.
type pattern struct {
	head   head
	traits []trait
	data   []datum // of all contexts, one after the other
	meaning
	first uint64 // number of the first span
	bytes int    // of memory, about
}

// head is what a meaning follows from besides the contexts.
type head struct {
	contexts              int
	executable, userClass string
	why                   end
	pieces                int
	how                   how
}

// trait is what a meaning follows from of one context besides its data.
type trait struct {
	name       string
	parent     int // which of the contexts it is, -1 if it has none
	data       int // how many there are
	file       uint32
	dropped    int
	superseded bool
	incomplete bool
	parentage  parentage
}

func (n *node) trait() trait {
	parent := -1
	if n.parent != nil {
		parent = n.parent.at
	}
	return trait{n.name, parent, len(n.data), n.file, n.dropped, n.superseded, n.incomplete, n.parentage}
}

// find returns what a tree means that is known, and the number of its first span's pattern; nil if it is not known.
func (p *patterns) find(t *tree, nodes []*node, why end) (*meaning, uint64) {
	p.hash = 0
	if t.shed {
		return nil, 0
	}
	p.head = head{len(nodes), t.thread.proc.who.executable, t.userClass(), why, t.join.pieces, t.join.how}
	p.hash = p.sum(nodes)
	known := p.known[p.hash%maxPatterns]
	if known == nil || known.head != p.head {
		return nil, 0
	}
	data := known.data
	for i, n := range nodes {
		if known.traits[i] != n.trait() || !slices.Equal(data[:len(n.data)], n.data) {
			return nil, 0
		}
		data = data[len(n.data):]
	}
	return &known.meaning, known.first
}

// learn remembers what the tree means that was looked for last if it came the second time. It returns the number of its
// first span's pattern, 0 if it was not learnt.
func (p *patterns) learn(nodes []*node, what *meaning) uint64 {
	if p.hash == 0 {
		return 0
	}
	at := p.hash % maxPatterns
	if p.seen[at] != p.hash {
		p.seen[at] = p.hash
		return 0
	}
	size := len(what.attrs) * int(unsafe.Sizeof(attribute.KeyValue{}))
	for _, n := range nodes {
		size += n.size() + int(unsafe.Sizeof(trait{})+unsafe.Sizeof(meant{})+unsafe.Sizeof(Operation{}))
	}
	if size > maxPatternBytes/32 {
		return 0
	}
	if p.bytes+size > maxPatternBytes {
		p.forget()
	}
	if old := p.known[at]; old != nil {
		p.bytes -= old.bytes
	}
	p.bytes += size
	learnt := &pattern{
		head: p.head,
		meaning: meaning{
			slices.Clone(what.spans), slices.Clone(what.attrs), slices.Clone(what.operations), what.downgraded, what.weak,
		},
		first: p.next + 1,
		bytes: size,
	}
	p.next += uint64(len(what.spans))
	for _, n := range nodes {
		learnt.traits = append(learnt.traits, n.trait())
		learnt.data = append(learnt.data, n.data...)
	}
	p.known[at] = learnt
	return learnt.first
}

// forget forgets all patterns: what they follow from has changed.
func (p *patterns) forget() {
	clear(p.known[:])
	clear(p.seen[:])
	p.bytes = 0
}

// sum returns a hash of a tree, not 0, and numbers the nodes. Equal texts count as equal where they are in the same place
// in memory, as those are that come again and again.
func (p *patterns) sum(nodes []*node) uint64 {
	const odd = 0x9E3779B97F4A7C15
	h := maphash.String(p.seed, p.head.executable) + uint64(p.head.pieces) + uint64(len(p.head.why))<<8
	for i, n := range nodes {
		n.at = i
		up := i
		if n.parent != nil {
			up -= n.parent.at
		}
		h = (h ^ h>>29 ^ address(n.name)) * odd
		h += uint64(up)<<16 + uint64(len(n.data))
		for j := range n.data {
			d := &n.data[j]
			h = (h ^ h>>29 ^ address(d.key.emitted) ^ address(d.text)<<20 ^ d.word) * odd
		}
	}
	return max(h>>1, 1)
}

// address returns where in memory a text is.
func address(s string) uint64 {
	return uint64(uintptr(unsafe.Pointer(unsafe.StringData(s)))) //nolint:gosec // a number to tell texts apart by
}
