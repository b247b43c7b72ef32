// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/crau-otel/crau-otel/tracer"
	"github.com/crau-otel/crau-otel/tracer/event"
)

// packetCost is what the programs at sockets take for a packet of a connection that is done, by the kernel's statistics,
// which cost a part of that themselves. Both kinds of programs see the same packets.
type packetCost struct {
	Empty series `json:"empty_ns"`
	Wire  series `json:"wire_ns"`
	Over  series `json:"over_empty_ns"`
}

type noEvents struct{}

func (noEvents) Handle(*event.Event) {}
func (noEvents) Tick(uint64)         {}

func measurePacket(cfg config, s *wireStage) (_ *packetCost, err error) {
	t, err := tracer.New(tracer.Config{})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, t.Close()) }()
	if err := t.AttachWire(tracer.WireConfig{Packet: func(*event.Packet) {}}); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- t.Run(ctx, noEvents{}) }()
	defer func() {
		cancel()
		err = errors.Join(err, <-ended)
	}()
	detach, err := attachEmptyToSockets()
	if err != nil {
		return nil, err
	}
	defer detach()
	stats, err := ebpf.EnableStats(uint32(unix.BPF_STATS_RUN_TIME))
	if err != nil {
		return nil, fmt.Errorf("enable run-time statistics: %w", err)
	}
	defer stats.Close()
	cost := &packetCost{}
	for range 5 {
		empty, wire, err := runTimes()
		if err != nil {
			return nil, err
		}
		if _, err := s.traffic(cfg.wireTime, "pingpong"); err != nil {
			return nil, err
		}
		emptyAfter, wireAfter, err := runTimes()
		if err != nil {
			return nil, err
		}
		a, b := emptyAfter.since(empty), wireAfter.since(wire)
		cost.Empty.add(a)
		cost.Wire.add(b)
		cost.Over.add(b - a)
	}
	return cost, nil
}

// runTime is how often programs ran, and for how long.
type runTime struct {
	runs uint64
	time time.Duration
}

// since returns the ns of a run since an earlier moment.
func (r runTime) since(earlier runTime) float64 {
	return float64(r.time-earlier.time) / float64(max(r.runs-earlier.runs, 1))
}

// runTimes returns the statistics of the empty programs and of crau-otel's.
func runTimes() (empty, wire runTime, err error) {
	for id := ebpf.ProgramID(0); ; {
		if id, err = ebpf.ProgramGetNextID(id); errors.Is(err, os.ErrNotExist) {
			return empty, wire, nil
		} else if err != nil {
			return empty, wire, err
		}
		p, err := ebpf.NewProgramFromID(id)
		if err != nil {
			continue // it has ended
		}
		info, err := p.Info()
		stats, statsErr := p.Stats()
		_ = p.Close()
		if err != nil || statsErr != nil {
			continue
		}
		sum := &wire
		switch {
		case strings.HasPrefix(info.Name, "empty_socket"):
			sum = &empty
		case !strings.HasPrefix(info.Name, "wire_"):
			continue
		}
		sum.runs += stats.RunCount
		sum.time += stats.Runtime
	}
}

// attachEmptyToSockets attaches programs that accept each packet at once.
func attachEmptyToSockets() (detach func(), err error) {
	out, err := exec.Command("findmnt", "-n", "-o", "TARGET", "-t", "cgroup2").Output()
	if err != nil {
		return nil, fmt.Errorf("find cgroups: %w", err)
	}
	root, _, _ := strings.Cut(string(out), "\n")
	var closers []func()
	detach = func() {
		for _, c := range closers {
			c()
		}
	}
	for _, at := range []ebpf.AttachType{ebpf.AttachCGroupInetEgress, ebpf.AttachCGroupInetIngress} {
		prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{
			Name: "empty_socket", Type: ebpf.CGroupSKB, AttachType: at, License: "Dual BSD/GPL",
			Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 1), asm.Return()},
		})
		if err != nil {
			detach()
			return nil, fmt.Errorf("load empty program: %w", err)
		}
		closers = append(closers, func() { _ = prog.Close() })
		l, err := link.AttachCgroup(link.CgroupOptions{Path: root, Attach: at, Program: prog})
		if err != nil {
			detach()
			return nil, fmt.Errorf("attach empty program: %w", err)
		}
		closers = append(closers, func() { _ = l.Close() })
	}
	return detach, nil
}
