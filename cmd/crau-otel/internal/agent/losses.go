// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"maps"
	"sync"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/totals"
	"github.com/crau-otel/crau-otel/limits"
	"github.com/crau-otel/crau-otel/mapping"
	"github.com/crau-otel/crau-otel/tracer"
)

// perOwner lists the losses that the kernel counts by owner, and the limits that cause them.
var perOwner = []struct {
	reason string       // loss reason in package totals; "" if connections are lost, which are not hits
	limit  limits.Limit // "" if the cause is not a limit
	count  func(*tracer.OwnerLosses) uint64
}{
	{"ring_full", limits.Ring, func(l *tracer.OwnerLosses) uint64 { return l.RingFull }},
	{"", limits.Ring, func(l *tracer.OwnerLosses) uint64 { return l.ConnectionsRingFull }},
	{"fault", "", func(l *tracer.OwnerLosses) uint64 { return l.Fault }},
	{"busy", limits.Runs, func(l *tracer.OwnerLosses) uint64 { return l.Busy }},
	{"malformed", "", func(l *tracer.OwnerLosses) uint64 { return l.Malformed }},
	{"rate_limited", limits.Rate, func(l *tracer.OwnerLosses) uint64 { return l.RateLimited }},
	{"owner_limited", limits.Rate, func(l *tracer.OwnerLosses) uint64 { return l.OwnerLimited }},
	{"", limits.Rate, func(l *tracer.OwnerLosses) uint64 { return l.ConnectionsRateLimited }},
}

// losses attributes lost hits to owners. It is safe for concurrent use.
type losses struct {
	mu      sync.Mutex
	before  map[tracer.Owner]tracer.OwnerLosses // counts at the last call of add
	lost    map[string]map[limits.Class]uint64  // lost hits of known owners, by loss reason and class of owner
	unknown map[string]uint64                   // all other lost hits, by loss reason; never decreases
}

func newLosses() *losses {
	return &losses{
		before: make(map[tracer.Owner]tracer.OwnerLosses), lost: make(map[string]map[limits.Class]uint64),
		unknown: make(map[string]uint64),
	}
}

// add records the losses since the last call; now contains the counts since the start. It calls reached for each limit
// because of which an owner has lost something since.
func (l *losses) add(
	now []tracer.OwnerLosses, name func(tracer.Owner) mapping.Owner, reached func(limits.Limit, limits.Owner, uint64),
) {
	l.mu.Lock()
	defer l.mu.Unlock()
	earlier := l.before
	l.before = make(map[tracer.Owner]tracer.OwnerLosses, len(now)) // without the owners that the kernel has forgotten
	for i := range now {
		before := earlier[now[i].Owner]
		l.before[now[i].Owner] = now[i]
		if before == now[i] || now[i] == (tracer.OwnerLosses{Owner: now[i].Owner}) {
			continue
		}
		owner := ownerInLimits(name(now[i].Owner))
		cost := make(map[limits.Limit]uint64)
		for _, c := range perOwner {
			n := c.count(&now[i])
			if was := c.count(&before); n >= was { // if not, the kernel had forgotten the owner and counts from 0
				n -= was
			}
			if n == 0 {
				continue
			}
			if c.reason != "" {
				l.note(c.reason, owner.Class, n)
			}
			if c.limit != "" {
				cost[c.limit] += n
			}
		}
		for limit, n := range cost {
			reached(limit, owner, n)
		}
	}
}

func (l *losses) note(reason string, class limits.Class, n uint64) {
	if l.lost[reason] == nil {
		l.lost[reason] = make(map[limits.Class]uint64)
	}
	l.lost[reason][class] += n
}

// byClass returns the lost hits by loss reason and class of owner. The caller must have read t before its last call of
// add.
func (l *losses) byClass(t *totals.Totals) map[string]map[limits.Class]uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	lost := make(map[string]map[limits.Class]uint64)
	for reason, total := range t.Lost() {
		of := maps.Clone(l.lost[reason])
		if of == nil {
			of = make(map[limits.Class]uint64)
		}
		if reason == "queue_full" {
			t.Exported.QueueFullOf.Each(func(class mapping.OwnerClass, events uint64) { of[limits.Class(class.String())] = events })
		}
		known := uint64(0)
		for _, n := range of {
			known += n
		}
		if total > known {
			l.unknown[reason] = max(l.unknown[reason], total-known)
		}
		of[limits.ClassUnknown] = l.unknown[reason]
		lost[reason] = of
	}
	return lost
}

// ownerInLimits converts an owner from the mapper's form to that of package limits.
func ownerInLimits(o mapping.Owner) limits.Owner {
	return limits.Owner{Name: o.ID, Class: limits.Class(o.Class.String())}
}

// kernelOwner converts an owner in the kernel's form to the mapper's form.
func (p *pipeline) kernelOwner(o tracer.Owner) mapping.Owner {
	if o.Cgroup != 0 {
		return p.resolver.OwnerOfCgroup(o.Cgroup, o.Root)
	}
	return p.resolver.OwnerOfUser(o.UID)
}
