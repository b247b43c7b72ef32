// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// packetCost is how long the BPF programs at sockets run for a packet of a connection whose handshake is already over,
// according to the kernel's statistics. Part of that time is for the statistics themselves. Both the empty programs and
// the agent's programs see the same packets.
type packetCost struct {
	Empty series `json:"empty_ns"`
	Wire  series `json:"wire_ns"`
	Over  series `json:"over_empty_ns"`
}

// measurePacket attaches both kinds of BPF programs at the same time, so that they see the same packets, and reads the
// kernel's statistics of each kind.
func measurePacket(s *wireStage, empty, wire *socketPrograms) (_ *packetCost, err error) {
	for _, p := range []*socketPrograms{empty, wire} {
		detach, err := p.attach()
		if err != nil {
			return nil, err
		}
		defer detach()
	}
	stats, err := ebpf.EnableStats(uint32(unix.BPF_STATS_RUN_TIME))
	if err != nil {
		return nil, fmt.Errorf("enable run-time statistics: %w", err)
	}
	defer stats.Close()
	cost := &packetCost{}
	for range 9 {
		var before, after [2]runTime
		for i, p := range []*socketPrograms{empty, wire} {
			if before[i], err = p.runTime(); err != nil {
				return nil, err
			}
		}
		if _, err := s.traffic(onOne, 300*time.Millisecond, "pingpong"); err != nil {
			return nil, err
		}
		for i, p := range []*socketPrograms{empty, wire} {
			if after[i], err = p.runTime(); err != nil {
				return nil, err
			}
		}
		a, b := after[0].since(before[0]), after[1].since(before[1])
		cost.Empty.add(a)
		cost.Wire.add(b)
		cost.Over.add(b - a)
	}
	return cost, nil
}

// runTime is how often BPF programs ran, and for how long in total.
type runTime struct {
	runs uint64
	time time.Duration
}

// since returns the average duration of a run since an earlier moment, in ns.
func (r runTime) since(earlier runTime) float64 {
	return float64(r.time-earlier.time) / float64(max(r.runs-earlier.runs, 1))
}
