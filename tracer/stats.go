// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"fmt"

	"github.com/crau-otel/crau-otel/bpf"
)

// Stats counts probe hits by their outcome, since the program was loaded. Hits is the sum of Sent, RingFull, Fault,
// Busy, Malformed, RateLimited, OwnerLimited and Hidden. Sent is the sum of Read, Undecodable and the number of records
// of hits that are in the ring.
type Stats struct {
	Hits         uint64 // probe hits
	Sent         uint64 // hits whose record was written to the ring
	RingFull     uint64 // lost: the ring was full
	Fault        uint64 // lost: an argument, the array or all keys were unreadable
	Busy         uint64 // lost: too many hits, or too many of one owner, were being handled on one CPU
	Malformed    uint64 // lost: the site has no specification, as after Remove
	RateLimited  uint64 // lost: the process exceeded its rate limit or its share of the ring
	OwnerLimited uint64 // lost: the owner of the process used up its share of the ring
	Hidden       uint64 // not recorded: data of excluded scopes

	PairFaults  uint64 // pairs that were not recorded because their key was unreadable
	Truncated   uint64 // sent records with a truncated key, value or array
	ProcessLost uint64 // process and exit records lost because the ring was full
	FamilyFull  uint64 // descendants of a command that are not observed, because there were too many

	Read        uint64 // records of hits that were decoded
	Undecodable uint64 // lost: records that could not be decoded
}

// Stats returns the counters. The sums are exact only while no probe is being hit, because the counters are read
// while the program updates them.
func (t *Tracer) Stats() (Stats, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var perCPU []bpf.AuditCpu
	if err := t.objs.Cpus.Lookup(uint32(0), &perCPU); err != nil {
		return Stats{}, fmt.Errorf("read counters: %w", err)
	}
	var n counters
	for _, c := range perCPU {
		for i := range n {
			n[i] += c.N[i]
		}
		for _, r := range c.Runs {
			n[bpf.AuditCrauStatCRAU_STAT_SENT] += r.Sent
		}
	}
	s := n.stats()
	s.Truncated += t.cut.Load()
	s.Read, s.Undecodable = t.read.Load(), t.undecodable.Load()
	return s, nil
}

// counters are the counters of the BPF program, indexed by enum crau_stat.
type counters [bpf.AuditCrauStatCRAU_STATS]uint64

// stats returns the counters as Stats. Those up to CRAU_STAT_HIDDEN count hits.
func (n *counters) stats() Stats {
	var hits uint64
	for _, ended := range n[:bpf.AuditCrauStatCRAU_STAT_HIDDEN+1] {
		hits += ended
	}
	return Stats{
		Hits:         hits,
		Sent:         n[bpf.AuditCrauStatCRAU_STAT_SENT],
		RingFull:     n[bpf.AuditCrauStatCRAU_STAT_RING_FULL],
		Fault:        n[bpf.AuditCrauStatCRAU_STAT_FAULT],
		Busy:         n[bpf.AuditCrauStatCRAU_STAT_BUSY],
		Malformed:    n[bpf.AuditCrauStatCRAU_STAT_MALFORMED],
		RateLimited:  n[bpf.AuditCrauStatCRAU_STAT_RATE_LIMITED],
		OwnerLimited: n[bpf.AuditCrauStatCRAU_STAT_OWNER_LIMITED],
		Hidden:       n[bpf.AuditCrauStatCRAU_STAT_HIDDEN],
		PairFaults:   n[bpf.AuditCrauStatCRAU_STAT_PAIR_FAULT],
		Truncated:    n[bpf.AuditCrauStatCRAU_STAT_TRUNCATED],
		ProcessLost:  n[bpf.AuditCrauStatCRAU_STAT_PROCESS_LOST],
		FamilyFull:   n[bpf.AuditCrauStatCRAU_STAT_FAMILY_FULL],
	}
}
