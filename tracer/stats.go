// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"fmt"

	"github.com/crau-otel/crau-otel/bpf"
)

// Stats counts what became of the probe hits since the program was loaded. Hits is the sum of Sent, RingFull, Fault,
// Busy, Malformed, RateLimited and Hidden; Sent is the sum of Read, Undecodable and what still lies in the ring.
type Stats struct {
	Hits        uint64 // probe hits
	Sent        uint64 // hits whose record the ring took
	RingFull    uint64 // lost: no room in the ring
	Fault       uint64 // lost: arguments or data could not be read from the process
	Busy        uint64 // lost: too many hits in the middle of a page fault on one CPU
	Malformed   uint64 // lost: the site has no specification
	RateLimited uint64 // lost: the process was over its budget or over its share of a filling ring
	Hidden      uint64 // left out: data of scopes that are not kept

	PairFaults  uint64 // pairs missing from sent records since their key could not be read
	Truncated   uint64 // sent records with a key, value or array cut at the limit
	ProcessLost uint64 // records about processes that the ring had no room for

	Read        uint64 // records of hits that were read and decoded
	Undecodable uint64 // lost: records that were read and made no sense
}

// Stats returns the counters. They are read while programs run: only after every probe is detached do the sums hold
// to the event.
func (t *Tracer) Stats() (Stats, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var perCPU []bpf.AuditCpu
	if err := t.objs.Cpus.Lookup(uint32(0), &perCPU); err != nil {
		return Stats{}, fmt.Errorf("read counters: %w", err)
	}
	var n [bpf.AuditCrauStatCRAU_STATS]uint64
	for _, c := range perCPU {
		for i := range n {
			n[i] += c.N[i]
		}
		for _, r := range c.Runs {
			n[bpf.AuditCrauStatCRAU_STAT_SENT] += r.Sent
		}
	}
	var hits uint64
	for _, ended := range n[:bpf.AuditCrauStatCRAU_STAT_HIDDEN+1] {
		hits += ended
	}
	return Stats{
		Hits:        hits,
		Sent:        n[bpf.AuditCrauStatCRAU_STAT_SENT],
		RingFull:    n[bpf.AuditCrauStatCRAU_STAT_RING_FULL],
		Fault:       n[bpf.AuditCrauStatCRAU_STAT_FAULT],
		Busy:        n[bpf.AuditCrauStatCRAU_STAT_BUSY],
		Malformed:   n[bpf.AuditCrauStatCRAU_STAT_MALFORMED],
		RateLimited: n[bpf.AuditCrauStatCRAU_STAT_RATE_LIMITED],
		Hidden:      n[bpf.AuditCrauStatCRAU_STAT_HIDDEN],
		PairFaults:  n[bpf.AuditCrauStatCRAU_STAT_PAIR_FAULT],
		Truncated:   n[bpf.AuditCrauStatCRAU_STAT_TRUNCATED] + t.cut.Load(),
		ProcessLost: n[bpf.AuditCrauStatCRAU_STAT_PROCESS_LOST],
		Read:        t.read.Load(),
		Undecodable: t.undecodable.Load(),
	}, nil
}
