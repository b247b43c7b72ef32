// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"context"

	"github.com/crau-otel/crau-otel/mapping"
)

// recipe is what a tree adds to. Trees of a pattern have the same one, so that their series need not be looked up: that
// takes longer than to count.
type recipe struct {
	counts    []*count
	durations []duration
	admitted  bool // all of the series are the tree's own; others may be, the next time
}

// recipeKey is what a recipe follows from.
type recipeKey struct {
	pattern uint64 // of the root
	process
}

// rememberedRecipes is how many recipes are remembered.
const rememberedRecipes = 512

// follow counts a tree's operations.
func (r *recipe) follow(operations []mapping.Operation) {
	for _, n := range r.counts {
		n.n++
	}
	for i := range r.durations {
		d := &r.durations[i]
		d.in.Record(context.Background(), operations[d.operation].Duration.Seconds(), d.options...)
	}
}
