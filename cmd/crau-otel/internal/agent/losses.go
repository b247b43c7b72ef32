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

// perOwner lists the loss reasons that the kernel counts by owner, and the limits that cause them, if any.
var perOwner = []struct {
	reason string // as in totals; "" for connections
	limit  limits.Limit
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
	before  map[tracer.Owner]tracer.OwnerLosses
	lost    map[string]map[limits.Class]uint64 // hits that are attributed to an owner, by reason
	unknown map[string]uint64                  // all other hits, by reason; never decreases
}

func newLosses() *losses {
	return &losses{
		before: make(map[tracer.Owner]tracer.OwnerLosses), lost: make(map[string]map[limits.Class]uint64),
		unknown: make(map[string]uint64),
	}
}

// add adds the losses of owners since the last call. It calls reached for each limit that cost an owner something.
func (l *losses) add(
	now []tracer.OwnerLosses, name func(tracer.Owner) mapping.Owner, reached func(limits.Limit, limits.Owner, uint64),
) {
	l.mu.Lock()
	defer l.mu.Unlock()
	earlier := l.before
	l.before = make(map[tracer.Owner]tracer.OwnerLosses, len(now)) // drops owners that the kernel has forgotten
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
			if was := c.count(&before); n >= was { // otherwise the kernel has forgotten the owner in between
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

// byClass returns the lost hits by reason and class of owner. t must have been read before the last call of add.
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

// ownerInLimits converts an owner to the form that package limits uses.
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
