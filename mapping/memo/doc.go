// SPDX-License-Identifier: Apache-2.0

// Package memo contains the cache that the agent's fast paths share: a table that remembers results by key, two for
// each slot.
//
// A [Table] has a fixed number of slots. A key's hash selects two of them, and a new entry replaces the older one.
// There are no chains, no ages and no locks, so a lookup costs a multiplication and one or two comparisons. Two slots
// are needed because with one, one in four programs has two names that replace each other in every handshake. Keys are
// always compared in full: a poor hash makes lookups miss, but never returns another key's value.
//
// The caller supplies the hash, because a cheap one usually exists: [Sample] for text, an address, or a sum of numbers.
// The table distributes it over the slots.
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
// A Table is not a map: an entry may disappear at any time. A Table is not safe for concurrent use.
package memo
