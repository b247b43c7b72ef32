// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"github.com/crau-otel/crau-otel/probes"
)

// attachEmpty attaches a BPF program that returns immediately to every site of the files. No tracer that uses uprobes
// can cost less.
func attachEmpty(files []string) (detach func(), err error) {
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name:         "empty",
		Type:         ebpf.Kprobe,
		AttachType:   ebpf.AttachTraceUprobeMulti,
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()},
		License:      "Dual BSD/GPL",
	})
	if err != nil {
		return nil, fmt.Errorf("load empty program: %w", err)
	}
	nops, err := probes.TryNops(true)
	if err != nil {
		_ = prog.Close()
		return nil, err
	}
	var attached []*probes.Attachment
	detach = func() {
		for _, a := range attached {
			_ = a.Close()
		}
		_ = prog.Close()
	}
	for _, path := range files {
		file, err := probes.Open(path)
		if err != nil {
			detach()
			return nil, err
		}
		a, err := probes.Attach(path, prog, true, nops.Place(file.Sites), make([]uint64, len(file.Sites)))
		if err != nil {
			detach()
			return nil, fmt.Errorf("attach empty program to %s: %w", path, err)
		}
		attached = append(attached, a)
	}
	return detach, nil
}
