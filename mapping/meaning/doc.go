// SPDX-License-Identifier: Apache-2.0

// Package meaning says what a finished tree amounts to: the names, kinds, attributes and statuses of its spans, and
// which of its operations are counted.
//
// The meaning of a tree is a function of its [shape.Shape] and of the [Rules] alone. An [Interpreter] remembers the
// meanings of shapes that come again, since programs repeat themselves, and returns a remembered [Meaning] or a new one
// by the same call:
//
//	in := meaning.New(meaning.Rules{Policy: p})
//	m := in.Meaning(&finished.Shape)
//	for _, span := range m.Spans { ... }
//
// A new meaning is made in five steps, each in a file of its own:
//
//	judge.go       the status of each operation by itself, and as part of a hybrid; which key exchange was agreed
//	summary.go     what a handshake, or another root, amounts to
//	attributes.go  the attributes of a context: its data, the judgement, how it was seen
//	operation.go   what is counted
//	interpret.go   these in order, policies and scopes
//
// context.go has what they share: a context of the shape with its data, role and name.
// trust.go says how far the files in a tree can be believed, wire.go what a connection showed, limit.go cuts what is too
// long, and cache.go remembers meanings.
//
// What a code point or a spelling stands for is looked up in package registry, what violates in package policy.
//
// # Parts of trees
//
// A tree with very many contexts is handed up in parts. Contexts that stay open are in the part's shape, marked, since
// the judgement of the others depends on them. What the others say about an open context (a secret was made below it,
// a signature was seen) is returned in [Meaning.Carry] and comes back in the shape of the next part.
package meaning
