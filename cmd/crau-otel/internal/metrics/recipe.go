// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"context"

	"github.com/crau-otel/crau-otel/mapping"
)

// recipe lists the series that a tree adds to. Trees with equal recipeKeys share one recipe, so that their series are
// not looked up again, which takes longer than counting.
type recipe struct {
	counts    []*count
	durations []duration
	admitted  bool // no series is an overflow series; otherwise the recipe is not cached: a series may be admitted later
}

// recipeKey is everything that a recipe depends on.
type recipeKey struct {
	pattern uint64 // pattern of the root span: see mapping.Span.Pattern
	process
}

// rememberedRecipes is the number of recipes that are cached.
const rememberedRecipes = 512

// follow adds a tree's operations to the series of the recipe.
func (r *recipe) follow(operations []mapping.Operation) {
	for _, n := range r.counts {
		n.n++
	}
	for i := range r.durations {
		d := &r.durations[i]
		d.in.Record(context.Background(), operations[d.operation].Duration.Seconds(), d.options...)
	}
}
