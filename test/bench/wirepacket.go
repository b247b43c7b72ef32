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

// sockets are programs that can be attached at sockets and detached within a round.
type sockets struct {
	tracer *tracer.Tracer
	ended  chan error
	cancel context.CancelFunc
}

// attachOurs attaches crau-otel's programs, and reads what they send.
func attachOurs() (*sockets, error) {
	t, err := tracer.New(tracer.Config{})
	if err != nil {
		return nil, err
	}
	if err := t.AttachWire(tracer.WireConfig{Packet: func(*event.Packet) {}}); err != nil {
		return nil, errors.Join(err, t.Close())
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &sockets{tracer: t, ended: make(chan error, 1), cancel: cancel}
	go func() { s.ended <- t.Run(ctx, noEvents{}) }()
	return s, nil
}

func (s *sockets) detach() error {
	s.cancel()
	return errors.Join(<-s.ended, s.tracer.Close())
}

// measureSockets alternates short rounds of a load without programs, with empty ones and with crau-otel's, and returns how
// much more CPU time a unit takes, in percent. Without the agent around them rounds are short, so that changes of the
// machine's speed matter less.
func measureSockets(cfg config, s *wireStage, l *wireLoad) error {
	for round := -1; round < cfg.socketRounds; round++ {
		cfg.progress(l.Name, round, cfg.socketRounds)
		var cost [3]time.Duration
		for i := range cost {
			which := (i + round + 3) % len(cost)
			detach := func() error { return nil }
			switch which {
			case 1:
				off, err := attachEmptyToSockets()
				if err != nil {
					return err
				}
				detach = func() error { off(); return nil }
			case 2:
				ours, err := attachOurs()
				if err != nil {
					return err
				}
				detach = ours.detach
			}
			var err error
			cost[which], err = l.run(s, cfg.wireTime/4)
			if err = errors.Join(err, detach()); err != nil {
				return err
			}
		}
		if round >= 0 {
			l.Empty.add(100 * (float64(cost[1])/float64(cost[0]) - 1))
			l.Programs.add(100 * (float64(cost[2])/float64(cost[0]) - 1))
		}
	}
	return nil
}

// measurePacket has the kernel's statistics of both kinds of programs on the same packets.
func measurePacket(cfg config, s *wireStage) (_ *packetCost, err error) {
	ours, err := attachOurs()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, ours.detach()) }()
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
