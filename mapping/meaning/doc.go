// SPDX-License-Identifier: Apache-2.0

// Package meaning interprets finished trees: the names, kinds, attributes and statuses of their spans, and which of
// their operations are counted.
//
// The meaning of a tree depends only on its [shape.Shape] and on the [Rules]. Many trees of a program have equal
// shapes, so an [Interpreter] caches the meanings of shapes that repeat. The same call returns a cached [Meaning] or a
// new one:
//
//	in := meaning.New(meaning.Rules{Policy: p})
//	m := in.Meaning(&finished.Shape)
//	for _, span := range m.Spans { ... }
//
// A new meaning is made in five steps, each in its own file:
//
//	judge.go       the status of each operation alone, and as part of a hybrid; which key exchange was negotiated
//	summary.go     the statuses and weak reasons of a whole handshake, or of another root
//	attributes.go  the attributes of a context: its data, its judgement, how it was observed
//	operation.go   which operations the metrics count
//	interpret.go   runs the other steps in order, and applies policies and scopes
//
// context.go defines the type that all steps work on: a context of the shape with its data, role and name. trust.go
// decides whose reports count for the judgement, wire.go interprets what package wire saw on a connection, limit.go
// cuts attribute values that are too long, and cache.go remembers meanings.
//
// Package registry interprets codepoints and spellings; package policy finds violations.
//
// # Parts of trees
//
// A tree with very many contexts is interpreted in parts. The shape of a part also contains the contexts that stay
// open, marked as open, because the judgement of the finished contexts depends on them. What the finished contexts
// contribute to an open context (for example that a secret was made below it, or that a signature was seen) is returned
// in [Meaning.Carry], and the caller puts it into the shape of the next part.
package meaning
