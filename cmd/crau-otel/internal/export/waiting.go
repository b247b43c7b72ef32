// SPDX-License-Identifier: Apache-2.0

package export

import (
	"container/heap"

	"go.opentelemetry.io/otel/attribute"
	sdkresource "go.opentelemetry.io/otel/sdk/resource"

	"github.com/crau-otel/crau-otel/mapping"
)

// entry is an encoded tree.
type entry struct {
	Count // of the tree

	batch Batch
	bytes int // of the batch
}

// waiting holds the trees that wait, by owner. Each owner has the same right to room and to being sent: when there is no
// room, the owner that uses most loses its newest tree, and owners take turns when trees are taken out. Otherwise a
// single program that makes trees faster than they are sent would cost all others theirs.
type waiting struct {
	maxSpans, maxBytes int

	Count      // of all trees
	bytes  int // of all batches
	shares map[ownerKey]*share
	most   byUse    // the first uses most
	turns  []*share // the first is next
}

// ownerKey identifies an owner, or the programs with one resource where the owner is not known.
type ownerKey struct {
	owner    string
	programs attribute.Distinct
}

func ownerOf(t *mapping.Tree) ownerKey {
	if t.Owner != "" {
		return ownerKey{owner: t.Owner}
	}
	return ownerKey{programs: t.Resource.Equivalent()}
}

// share is what waits of one owner; never empty.
type share struct {
	owner   ownerKey
	program *sdkresource.Resource // of the first tree, for the log
	entries []entry               // oldest first
	use     int64                 // see waiting.weight
	index   int                   // in waiting.most
	credit  int                   // bytes that may leave before the next owner's turn
}

// turnBytes is how much of an owner is taken before the next one's turn. Trees of one owner share a resource, which is
// sent once for all that are in one call.
const turnBytes = 32 << 10

func newWaiting(maxSpans, maxBytes int) waiting {
	return waiting{maxSpans: maxSpans, maxBytes: maxBytes, shares: make(map[ownerKey]*share)}
}

// weight returns how much of the room spans and bytes use: half of it each limit.
func (w *waiting) weight(spans uint64, bytes int) int64 {
	return int64(spans)*int64(w.maxBytes) + int64(bytes)*int64(w.maxSpans)
}

// fits reports whether there is room for a tree beside sending bytes that are being sent. The last tree may exceed the
// bytes.
func (w *waiting) fits(spans uint64, sending int) bool {
	return w.bytes+sending < w.maxBytes && w.Spans+spans <= uint64(w.maxSpans)
}

// largest returns the share to evict from in favour of an owner's tree, nil if there is none that uses more than that
// owner would.
func (w *waiting) largest(owner ownerKey, spans uint64, bytes int) *share {
	if len(w.most) == 0 || spans > uint64(w.maxSpans) {
		return nil
	}
	use := w.weight(spans, bytes)
	if own, ok := w.shares[owner]; ok {
		use += own.use
	}
	if top := w.most[0]; top.owner != owner && top.use > use {
		return top
	}
	return nil
}

// put appends an owner's newest tree.
func (w *waiting) put(owner ownerKey, program *sdkresource.Resource, e entry) {
	s, ok := w.shares[owner]
	if !ok {
		s = &share{owner: owner, program: program, credit: turnBytes}
		w.shares[owner] = s
		w.turns = append(w.turns, s)
		heap.Push(&w.most, s)
	}
	s.entries = append(s.entries, e)
	w.account(s, e, 1)
}

// evict removes a share's newest tree.
func (w *waiting) evict(s *share) entry {
	last := len(s.entries) - 1
	e := s.entries[last]
	s.entries[last] = entry{}
	s.entries = s.entries[:last]
	w.account(s, e, -1)
	if last == 0 {
		for i := range w.turns {
			if w.turns[i] == s {
				w.turns = append(w.turns[:i], w.turns[i+1:]...)
				break
			}
		}
	}
	return e
}

// take removes trees for about one call, each owner in turn: as many as fit, but at least one.
func (w *waiting) take(maxSpans, maxBytes int) (batch []entry) {
	var spans, bytes int
	for len(w.turns) > 0 {
		s := w.turns[0]
		e := s.entries[0]
		spans, bytes = spans+int(e.Spans), bytes+e.bytes
		if len(batch) > 0 && (spans > maxSpans || bytes > maxBytes) {
			break
		}
		batch = append(batch, e)
		s.entries[0] = entry{}
		s.entries = s.entries[1:]
		w.account(s, e, -1)
		s.credit -= e.bytes
		switch {
		case len(s.entries) == 0:
			w.turns = w.turns[1:]
		case s.credit <= 0:
			s.credit = turnBytes
			w.turns = append(w.turns[1:], s)
		}
	}
	return batch
}

// account adds a tree of a share, or removes it if sign is -1. A share without trees is forgotten.
func (w *waiting) account(s *share, e entry, sign int) {
	w.Spans += uint64(sign) * e.Spans
	w.Events += uint64(sign) * e.Events
	w.bytes += sign * e.bytes
	s.use += int64(sign) * w.weight(e.Spans, e.bytes)
	if len(s.entries) == 0 {
		delete(w.shares, s.owner)
		heap.Remove(&w.most, s.index)
		return
	}
	heap.Fix(&w.most, s.index)
}

// byUse is a heap of shares, those that use most first.
type byUse []*share

func (h byUse) Len() int           { return len(h) }
func (h byUse) Less(i, j int) bool { return h[i].use > h[j].use }
func (h byUse) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

// Push implements [heap.Interface].
func (h *byUse) Push(s any) {
	s.(*share).index = len(*h)
	*h = append(*h, s.(*share))
}

// Pop implements [heap.Interface].
func (h *byUse) Pop() any {
	last := len(*h) - 1
	s := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return s
}
