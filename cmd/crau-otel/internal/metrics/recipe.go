// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"context"

	"github.com/crau-otel/crau-otel/mapping"
)

// recipe lists the counts that a tree adds to. Trees of the same pattern share one, so that their series do not have to
// be looked up, which takes longer than counting.
type recipe struct {
	counts    []*count
	durations []duration
	admitted  bool // all of the series were admitted; otherwise more may be admitted the next time
}

// recipeKey is everything that a recipe depends on.
type recipeKey struct {
	pattern uint64 // of the root
	process
}

// rememberedRecipes is how many recipes are remembered.
const rememberedRecipes = 512

// follow adds a tree's operations to the counts.
func (r *recipe) follow(operations []mapping.Operation) {
	for _, n := range r.counts {
		n.n++
	}
	for i := range r.durations {
		d := &r.durations[i]
		d.in.Record(context.Background(), operations[d.operation].Duration.Seconds(), d.options...)
	}
}
