// SPDX-License-Identifier: Apache-2.0

// Package meaning interprets finished trees: the names, kinds, attributes and statuses of their spans, and which of
// their operations are counted.
//
// The meaning of a tree depends on its [shape.Shape] and on the [Rules], and on nothing else. Programs repeat
// themselves, so an [Interpreter] remembers the meanings of shapes that repeat. The same call returns a remembered
// [Meaning] or a new one:
//
//	in := meaning.New(meaning.Rules{Policy: p})
//	m := in.Meaning(&finished.Shape)
//	for _, span := range m.Spans { ... }
//
// A new meaning is made in five steps, each in its own file:
//
//	judge.go       the status of each operation alone, and as part of a hybrid; which key exchange was negotiated
//	summary.go     the result for a handshake, or for another root
//	attributes.go  the attributes of a context: its data, its judgement, how it was observed
//	operation.go   which operations are counted
//	interpret.go   runs these in order, and applies policies and scopes
//
// context.go has what they share: a context of the shape with its data, role and name.
// trust.go says how far the files in a tree can be believed, wire.go what a connection showed, limit.go cuts what is too
// long, and cache.go remembers meanings.
//
// Package registry interprets codepoints and spellings, package policy finds violations.
//
// # Parts of trees
//
// A tree with very many contexts is handed up in parts. Contexts that stay open are in the part's shape, marked as
// open, because the judgement of the others depends on them. What the others contribute to an open context (a secret
// was made below it, a signature was seen) is returned in [Meaning.Carry] and comes back in the shape of the next part.
package meaning
