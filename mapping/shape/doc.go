// SPDX-License-Identifier: Apache-2.0

// Package shape defines the value that passes from contexts to meaning: the [Shape] of a finished tree.
//
// A shape is everything that determines a tree's meaning: the names of its contexts, how they nest, their data, which
// program and files reported them, and how the tree ended. It has no ids and no times, so a program that does the same
// thing again produces an equal shape. Package meaning derives span names, attributes and statuses from the shape
// alone, and uses the shape as the key of its cache.
//
// Every type that a shape consists of is comparable with ==, and [Shape.Equal] compares whole values. A field that is
// added to [Head], [Trait] or [Datum] therefore becomes part of the cache's key automatically. [Shape.Hash] is only a
// hint for finding candidates; it does not have to cover every field.
package shape
