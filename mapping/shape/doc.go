// SPDX-License-Identifier: Apache-2.0

// Package shape has the value that passes from contexts to meaning: the [Shape] of a finished tree.
//
// A shape is everything that a tree's meaning follows from: the names of its contexts, how they nest, their data, who
// emitted them and how the tree ended. It has no ids and no times, so a program that repeats itself produces equal
// shapes. Package meaning maps a shape, and nothing else, to span names, attributes and statuses, and uses the shape as
// the key of its cache.
//
// Every type that a shape is made of is comparable with ==, and [Shape.Equal] compares whole values. A field that is
// added to [Head], [Trait] or [Datum] therefore is part of the cache's key without further work. [Shape.Hash] is only a
// hint where to look; it need not cover every field.
package shape
