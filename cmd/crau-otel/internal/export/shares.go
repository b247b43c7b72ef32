// SPDX-License-Identifier: Apache-2.0

package export

import (
	"container/heap"
	"slices"
)

// share is what one of those who share something uses of it.
type share struct {
	use     int64 // see waiting.weight
	index   int   // in shares.most
	changed int   // index in shares.changed, plus 1; 0: the place in shares.most is right
	credit  int   // bytes that may leave before the next one's turn
}

func (s *share) get() *share { return s }

// sharer has a share. It is a pointer to a struct that embeds one.
type sharer interface {
	comparable
	get() *share
}

// shares finds who uses most, and lets all take turns.
type shares[K comparable, S sharer] struct {
	known   map[K]S
	most    byUse[S] // the first uses most, once changed is empty
	changed []S      // whose place in most may be wrong: it matters only when there is no room
	turns   []S      // the first is next
}

func newShares[K comparable, S sharer]() shares[K, S] { return shares[K, S]{known: make(map[K]S)} }

// largest returns who uses most, if there is anybody.
func (s *shares[K, S]) largest() (of S, ok bool) {
	for _, changed := range s.changed {
		changed.get().changed = 0
		heap.Fix(&s.most, changed.get().index)
	}
	clear(s.changed)
	s.changed = s.changed[:0]
	if len(s.most) == 0 {
		return of, false
	}
	return s.most[0], true
}

// add adds one who uses nothing yet.
func (s *shares[K, S]) add(key K, of S) {
	of.get().credit = turnBytes
	s.known[key] = of
	s.turns = append(s.turns, of)
	heap.Push(&s.most, of)
}

func (s *shares[K, S]) remove(key K, of S) {
	delete(s.known, key)
	heap.Remove(&s.most, of.get().index)
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

// use changes how much somebody uses.
func (s *shares[K, S]) use(of S, change int64) {
	share := of.get()
	if share.use += change; share.changed == 0 {
		s.changed = append(s.changed, of)
		share.changed = len(s.changed)
	}
}

// spend takes bytes from the credit of the one whose turn it is. Without any left, it is the next one's turn.
func (s *shares[K, S]) spend(of S, bytes int) {
	if of.get().credit -= bytes; of.get().credit > 0 {
		return
	}
	of.get().credit = turnBytes
	s.turns = append(s.turns[1:], of)
}

// byUse is a heap of those who share, those that use most first.
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
