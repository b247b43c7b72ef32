// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"testing"

	"github.com/crau-otel/crau-otel/mapping/internal/eventtest"
)

// With random events, few different ids and tight limits, all ways of opening, joining, shedding and evicting are
// combined. The number of open contexts stays within its limit, and every hit is accounted for.
func TestNonsenseBreaksNothing(t *testing.T) {
	for seed := range uint64(300) {
		f := newFeed(t, tight(seed))
		eventtest.Nonsense(seed, f.Source, f.m.Tick, func() {
			if st := f.m.Stats(); st.OpenContexts < 0 || st.OpenContexts > f.m.cfg.MaxOpenContexts {
				t.Fatalf("seed %d: %d open contexts, the limit is %d", seed, st.OpenContexts, f.m.cfg.MaxOpenContexts)
			}
		})
		f.finish()
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func tight(seed uint64) Config {
	return Config{
		MaxOpenContexts: 12 + int(seed%20), MaxTreeSpans: 2 + int(seed%7), MaxProcesses: 2, MaxOpenBytes: 1000 + 100*int(seed%30),
	}
}
