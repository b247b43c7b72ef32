// SPDX-License-Identifier: Apache-2.0

package probes

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// tryHits is the number of hits before tryNop checks whether the kernel has replaced a nop. A kernel that replaces nops
// does so at the first hit.
const tryHits = 3

// nop5Trial and nop10Trial write to the red zone, execute a nop of 5 or 10 bytes, and report whether the red zone is
// unchanged. They are implemented in assembly.
func nop5Trial() (intact bool)

func nop10Trial() (intact bool)

// nopTrials returns the addresses of the code of nop5Trial and nop10Trial. A Go function value would lead to a wrapper
// instead.
func nopTrials() (nop5, nop10 uintptr)

// TryNops attaches an empty program to nops of this process to find out how the kernel treats uprobes on them. It needs
// the same privileges as [Attach] and takes about 0.1 s. multi has the same meaning as for [Attach].
func TryNops(multi bool) (NopSupport, error) {
	spec := &ebpf.ProgramSpec{
		Name: "empty", Type: ebpf.Kprobe, License: "Dual BSD/GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()},
	}
	if multi {
		spec.AttachType = ebpf.AttachTraceUprobeMulti
	}
	prog, err := ebpf.NewProgram(spec)
	if err != nil {
		return NopSupport{}, fmt.Errorf("try nops: load program: %w", err)
	}
	defer prog.Close()
	five, ten := nopTrials()
	var n NopSupport
	if n.nop5, err = tryNop(prog, multi, five, nop5, nop5Trial); err != nil {
		return NopSupport{}, fmt.Errorf("try nops: %w", err)
	}
	// An error means that the kernel does not replace 10-byte nops: it then refuses to attach to one, because of its
	// segment prefix.
	if n.nop10, err = tryNop(prog, multi, ten, nop10, nop10Trial); err != nil {
		n.nop10 = notReplaced
	}
	return n, nil
}

// tryNop attaches prog to the nop in the function at entry, calls the function through call, and returns how the kernel
// has replaced the nop.
func tryNop(prog *ebpf.Program, multi bool, entry uintptr, nop []byte, call func() bool) (_ replacement, err error) {
	memory, err := os.Open("/proc/self/mem")
	if err != nil {
		return 0, err
	}
	defer memory.Close()
	code := make([]byte, 128)
	if _, err := memory.ReadAt(code, int64(entry)); err != nil {
		return 0, fmt.Errorf("read own code: %w", err)
	}
	skip := bytes.Index(code, nop)
	if skip < 0 {
		return 0, errNoNop
	}
	address := uint64(entry) + uint64(skip)
	offset, err := OwnFileOffset(address)
	if err != nil {
		return 0, err
	}
	site := []Site{{Probe: NewContext, Address: address, Offset: offset}}
	attachment, err := Attach("/proc/self/exe", prog, multi, site, []uint64{0})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, attachment.Close()) }()
	intact := true
	for range tryHits {
		intact = call() && intact
	}
	now := make([]byte, len(nop))
	if _, err := memory.ReadAt(now, int64(address)); err != nil {
		return 0, fmt.Errorf("read own code: %w", err)
	}
	const breakpoint = 0xcc
	switch {
	case now[0] == breakpoint || bytes.Equal(now, nop):
		return notReplaced, nil
	case intact:
		return replacedSafely, nil
	}
	return replacedUnsafely, nil
}
