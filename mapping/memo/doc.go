// SPDX-License-Identifier: Apache-2.0

// Package memo contains a small cache for hot paths: a table that stores results by key, two for each hash.
//
// A [Table] has a fixed number of slots. A key's hash selects two of them, and a new entry replaces the older of the
// two. There are no chains, no ages and no locks, so a lookup takes a multiplication and one or two comparisons. With
// one slot for each hash, one in four programs would have two names that replace each other in every handshake. Keys
// are always compared in full: a poor hash makes lookups miss, but a lookup never returns another key's value.
//
// The caller supplies the hash, because a cheap one usually exists: [Sample] for text, an address, or a sum of numbers.
// The table distributes the hashes over the slots.
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
