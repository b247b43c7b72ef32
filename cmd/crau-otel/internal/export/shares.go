// SPDX-License-Identifier: Apache-2.0

package export

import (
	"container/heap"
	"slices"
)

// share is the part of the queue that one sharer uses, and the state of the sharer in [shares].
type share struct {
	use       int64 // used room, as waiting.weight returns it
	index     int   // position in shares.heap
	changed   int   // position in shares.changed plus 1; 0 if the sharer is not in shares.changed
	allowance int   // bytes that may be taken before the next sharer has its turn
}

func (s *share) get() *share { return s }

// sharer is an owner or a program: a pointer to a struct that embeds share.
type sharer interface {
	comparable
	get() *share
}

// shares is a set of sharers: all owners, or all programs of an owner. It finds the sharer that uses the largest part
// of the queue, and keeps the order in which the sharers take turns.
type shares[K comparable, S sharer] struct {
	known   map[K]S
	heap    byUse[S] // all sharers; the first uses the most, if changed is empty
	changed []S      // sharers whose position in heap may be wrong until largest corrects it
	turns   []S      // all sharers, in the order of their turns
}

func newShares[K comparable, S sharer]() shares[K, S] { return shares[K, S]{known: make(map[K]S)} }

// largest returns the sharer with the greatest use. ok is false if there are no sharers.
func (s *shares[K, S]) largest() (of S, ok bool) {
	for _, changed := range s.changed {
		changed.get().changed = 0
		heap.Fix(&s.heap, changed.get().index)
	}
	clear(s.changed)
	s.changed = s.changed[:0]
	if len(s.heap) == 0 {
		return of, false
	}
	return s.heap[0], true
}

// add adds a sharer that uses nothing yet.
func (s *shares[K, S]) add(key K, of S) {
	of.get().allowance = turnBytes
	s.known[key] = of
	s.turns = append(s.turns, of)
	heap.Push(&s.heap, of)
}

func (s *shares[K, S]) remove(key K, of S) {
	delete(s.known, key)
	heap.Remove(&s.heap, of.get().index)
	if at := of.get().changed; at > 0 {
		last := len(s.changed) - 1
		moved := s.changed[last]
		s.changed[at-1], moved.get().changed = moved, at
		of.get().changed = 0
		var none S
		s.changed[last] = none
		s.changed = s.changed[:last]
	}
	at := slices.Index(s.turns, of)
	if at == 0 {
		s.turns = s.turns[1:]
		return
	}
	s.turns = slices.Delete(s.turns, at, at+1)
}

// use adds change, which may be negative, to the bytes of the queue that a sharer uses.
func (s *shares[K, S]) use(of S, change int64) {
	share := of.get()
	if share.use += change; share.changed == 0 {
		s.changed = append(s.changed, of)
		share.changed = len(s.changed)
	}
}

// spend reduces the allowance of the sharer whose turn it is. When the allowance is used up, it is renewed and the next
// sharer has its turn.
func (s *shares[K, S]) spend(of S, bytes int) {
	if of.get().allowance -= bytes; of.get().allowance > 0 {
		return
	}
	of.get().allowance = turnBytes
	s.turns = append(s.turns[1:], of)
}

// byUse is a heap of sharers, whose first element uses the most.
type byUse[S sharer] []S

func (h byUse[S]) Len() int           { return len(h) }
func (h byUse[S]) Less(i, j int) bool { return h[i].get().use > h[j].get().use }
func (h byUse[S]) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].get().index, h[j].get().index = i, j
}

// Push implements [heap.Interface].
func (h *byUse[S]) Push(s any) {
	s.(S).get().index = len(*h)
	*h = append(*h, s.(S))
}

// Pop implements [heap.Interface].
func (h *byUse[S]) Pop() any {
	last := len(*h) - 1
	s := (*h)[last]
	var none S
	(*h)[last] = none
	*h = (*h)[:last]
	return s
}
