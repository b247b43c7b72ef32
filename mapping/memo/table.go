// SPDX-License-Identifier: Apache-2.0

package memo

import "math/bits"

// Table stores values with their keys, two for each hash. A Table must be created with [New].
type Table[K comparable, V any] struct {
	slots []slot[K, V]
	shift uint8 // how far the method set shifts the multiplied hash right to get an index into slots
}

type slot[K comparable, V any] struct {
	key   K
	value V
	used  bool
}

// New returns an empty table. The number of slots is size, rounded up to a power of two, and at least 2.
func New[K comparable, V any](size int) Table[K, V] {
	width := bits.Len(uint(max(size, 2) - 1))
	return Table[K, V]{slots: make([]slot[K, V], 1<<width), shift: uint8(64 - width)}
}

// Get returns the value that is stored for the key, or nil. hash must be the one that was passed to Put with the key.
// The pointer is valid until the next Put or Clear.
func (t *Table[K, V]) Get(hash uint64, key K) *V {
	set := t.set(hash)
	if s := &set[0]; s.used && s.key == key {
		return &s.value
	}
	if s := &set[1]; s.used && s.key == key {
		return &s.value
	}
	return nil
}

// Put stores a value for the key. It returns the value that it replaced, which may belong to another key, or the zero
// value if it replaced none.
func (t *Table[K, V]) Put(hash uint64, key K, value V) (replaced V) {
	set := t.set(hash)
	if s := &set[0]; s.used && s.key == key {
		replaced, s.value = s.value, value
		return replaced
	}
	replaced = set[1].value
	set[1], set[0] = set[0], slot[K, V]{key, value, true}
	return replaced
}

// Clear empties the table.
func (t *Table[K, V]) Clear() { clear(t.slots) }

// set returns the two slots for a hash; the first contains the newer entry. Because of the multiplication (Fibonacci
// hashing), all bits of the hash influence the choice of the slots.
func (t *Table[K, V]) set(hash uint64) *[2]slot[K, V] {
	i := hash * 0x9E3779B97F4A7C15 >> (t.shift & 63) &^ 1
	return (*[2]slot[K, V])(t.slots[i : i+2])
}

// GetBytes is like [Table.Get] for a key that the caller has as a byte slice. It does not allocate.
func GetBytes[V any](t *Table[string, V], hash uint64, key []byte) *V {
	set := t.set(hash)
	if s := &set[0]; s.used && s.key == string(key) {
		return &s.value
	}
	if s := &set[1]; s.used && s.key == string(key) {
		return &s.value
	}
	return nil
}

// Sample returns a hash of the length and of three bytes of a text. It distinguishes the keys, names and algorithms
// that libraries emit, and takes a fraction of the time of hashing all bytes.
func Sample[T ~string | ~[]byte](text T) uint64 {
	n := len(text)
	if n == 0 {
		return 0
	}
	return uint64(n) | uint64(text[0])<<8 | uint64(text[n/2])<<16 | uint64(text[n-1])<<24
}
