// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os/exec"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
)

// socketPrograms are BPF programs at sockets. The bench attaches them for a round and detaches them afterwards.
type socketPrograms struct {
	root            string // mount point of the cgroup v2 hierarchy
	egress, ingress *ebpf.Program
}

func cgroupRoot() (string, error) {
	out, err := exec.Command("findmnt", "-n", "-o", "TARGET", "-t", "cgroup2").Output()
	if err != nil {
		return "", fmt.Errorf("find cgroups: %w", err)
	}
	root, _, _ := strings.Cut(string(out), "\n")
	return root, nil
}

// emptySocketPrograms returns BPF programs that accept each packet immediately.
func emptySocketPrograms() (_ *socketPrograms, err error) {
	s := &socketPrograms{}
	if s.root, err = cgroupRoot(); err != nil {
		return nil, err
	}
	load := func(to **ebpf.Program, at ebpf.AttachType) {
		p, loadErr := ebpf.NewProgram(&ebpf.ProgramSpec{
			Name: "empty_socket", Type: ebpf.CGroupSKB, AttachType: at, License: "Dual BSD/GPL",
			Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 1), asm.Return()},
		})
		if loadErr != nil {
			err = errors.Join(err, fmt.Errorf("load empty program: %w", loadErr))
		}
		*to = p
	}
	load(&s.egress, ebpf.AttachCGroupInetEgress)
	load(&s.ingress, ebpf.AttachCGroupInetIngress)
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// linksNow returns the ids of all BPF links of the system.
func linksNow() (map[link.ID]bool, error) {
	ids := make(map[link.ID]bool)
	it := new(link.Iterator)
	defer it.Close()
	for it.Next() {
		ids[it.ID] = true
	}
	return ids, it.Err()
}

// takeSockets detaches the BPF programs that an agent has attached at sockets and returns them. When they are attached
// again later, the agent still reads what they send. older contains the links that existed before the agent started.
func takeSockets(older map[link.ID]bool) (_ *socketPrograms, err error) {
	s := &socketPrograms{}
	if s.root, err = cgroupRoot(); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	it := new(link.Iterator)
	defer it.Close()
	for it.Next() {
		if older[it.ID] {
			continue
		}
		info, err := it.Link.Info()
		if err != nil {
			return nil, err
		}
		p, err := ebpf.NewProgramFromID(info.Program)
		if err != nil {
			continue // the link was released meanwhile
		}
		to := &s.egress
		switch name := p.String(); {
		case strings.Contains(name, "wire_egress"):
		case strings.Contains(name, "wire_ingress"):
			to = &s.ingress
		default:
			_ = p.Close()
			continue
		}
		if *to != nil {
			_ = p.Close()
			return nil, errors.New("another agent has attached programs at sockets meanwhile")
		}
		*to = p
		if err := it.Link.Detach(); err != nil {
			return nil, fmt.Errorf("detach the agent's program: %w", err)
		}
	}
	if err := it.Err(); err != nil {
		return nil, err
	}
	if s.egress == nil || s.ingress == nil {
		return nil, errors.New("the agent has attached no programs at sockets")
	}
	return s, nil
}

// attach attaches the BPF programs for all processes and returns a function that detaches them. A nil set does nothing.
func (s *socketPrograms) attach() (detach func(), err error) {
	var links []link.Link
	detach = func() {
		for _, l := range links {
			_ = l.Close()
		}
	}
	if s == nil {
		return detach, nil
	}
	for at, p := range map[ebpf.AttachType]*ebpf.Program{ebpf.AttachCGroupInetEgress: s.egress, ebpf.AttachCGroupInetIngress: s.ingress} {
		l, err := link.AttachCgroup(link.CgroupOptions{Path: s.root, Attach: at, Program: p})
		if err != nil {
			detach()
			return nil, fmt.Errorf("attach to cgroup %s: %w", s.root, err)
		}
		links = append(links, l)
	}
	return detach, nil
}

// runTime returns the kernel's statistics of both BPF programs as a sum.
func (s *socketPrograms) runTime() (sum runTime, err error) {
	for _, p := range []*ebpf.Program{s.egress, s.ingress} {
		stats, err := p.Stats()
		if err != nil {
			return sum, fmt.Errorf("read run-time statistics: %w", err)
		}
		sum.runs += stats.RunCount
		sum.time += stats.Runtime
	}
	return sum, nil
}

func (s *socketPrograms) close() {
	_ = s.egress.Close()
	_ = s.ingress.Close()
}
