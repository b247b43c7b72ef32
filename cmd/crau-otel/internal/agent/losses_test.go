// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"fmt"
	"maps"
	"testing"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/export"
	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/totals"
	"github.com/crau-otel/crau-otel/limits"
	"github.com/crau-otel/crau-otel/mapping"
	"github.com/crau-otel/crau-otel/mapping/contexts"
	"github.com/crau-otel/crau-otel/tracer"
)

// Losses are attributed to the owners that the kernel or the queue names. The counts of all owners add up to the total.
func TestLossesHaveOwners(t *testing.T) {
	t.Parallel()
	l, reached := newLosses(), make(map[string]uint64)
	name := func(o tracer.Owner) mapping.Owner {
		if o.Root {
			return mapping.Owner{ID: "/victim.service", Class: contexts.ClassRoot}
		}
		return mapping.Owner{ID: fmt.Sprint("user ", o.UID), Class: contexts.ClassUser}
	}
	add := func(owners ...tracer.OwnerLosses) {
		l.add(owners, name, func(limit limits.Limit, owner limits.Owner, n uint64) {
			reached[fmt.Sprint(limit, " ", owner.Name, " ", owner.Class)] += n
		})
	}
	attacker, other, victim := tracer.Owner{UID: 65534}, tracer.Owner{UID: 1000}, tracer.Owner{Cgroup: 7, Root: true}
	add(tracer.OwnerLosses{Owner: attacker, RateLimited: 5, OwnerLimited: 3, Fault: 2}, tracer.OwnerLosses{Owner: victim})
	add(
		tracer.OwnerLosses{Owner: attacker, RateLimited: 9, OwnerLimited: 3, Fault: 2, ConnectionsRateLimited: 1},
		tracer.OwnerLosses{Owner: victim, Busy: 1}, tracer.OwnerLosses{Owner: other, RingFull: 4},
	)
	add(tracer.OwnerLosses{Owner: other, RingFull: 4}) // the kernel has forgotten the owners attacker and victim
	add(tracer.OwnerLosses{Owner: attacker, RateLimited: 2}, tracer.OwnerLosses{Owner: other, RingFull: 4})

	n := totals.Totals{
		Traced:   tracer.Stats{RateLimited: 12, OwnerLimited: 3, Fault: 2, Busy: 1, RingFull: 4},
		Exported: export.Stats{QueueFull: export.Count{Events: 30}, QueueFullOf: mapping.ClassCounts{contexts.ClassUser: 30}},
	}
	lost := l.byClass(&n)
	for reason, want := range map[string]map[limits.Class]uint64{
		"rate_limited": {limits.ClassUser: 11, limits.ClassUnknown: 1}, "owner_limited": {limits.ClassUser: 3},
		"fault": {limits.ClassUser: 2}, "busy": {limits.ClassRoot: 1}, "ring_full": {limits.ClassUser: 4},
		"queue_full": {limits.ClassUser: 30}, "export_failed": {},
	} {
		got := lost[reason]
		maps.DeleteFunc(got, func(_ limits.Class, n uint64) bool { return n == 0 })
		if !maps.Equal(got, want) {
			t.Errorf("%s: %v, want %v", reason, got, want)
		}
	}
	if want := map[string]uint64{
		"rate user 65534 user": 15, "runs /victim.service root": 1, "ring user 1000 user": 4,
	}; !maps.Equal(reached, want) {
		t.Errorf("limits reached: %v, want %v", reached, want)
	}
	n.Traced.RateLimited = 11
	if got := l.byClass(&n)["rate_limited"][limits.ClassUnknown]; got != 1 {
		t.Errorf("a counter fell to %d", got)
	}
}
