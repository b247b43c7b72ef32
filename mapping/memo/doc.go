// SPDX-License-Identifier: Apache-2.0

// Package memo has the cache that the agent's fast paths share: a two-way table that remembers results by key.
//
// A [Table] has a fixed number of slots. A key's hash selects two of them, and a new entry replaces the older one there.
// There are no chains, no ages and no locks, so a lookup costs a multiplication and one or two comparisons. With one slot
// for each hash, one in four programs has two names that replace each other in every handshake. Keys are always compared
// in full: a poor hash makes lookups miss, never return another key's value.
//
// The caller supplies the hash, since a cheap one usually exists: [Sample] for text, an address, or a sum of numbers.
// The table spreads it over the slots.
//
//	var statuses = memo.New[string, Status](256)
//
//	hash := memo.Sample(name)
//	if status := statuses.Get(hash, name); status != nil {
//		return *status
//	}
//	status := judge(name)
//	statuses.Put(hash, name, status)
//	return status
//
// A table is no map: an entry may be gone at any time. It is not safe for concurrent use.
package memo
