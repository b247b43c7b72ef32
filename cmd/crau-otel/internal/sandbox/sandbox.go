// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"fmt"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// Config configures the sandbox.
type Config struct {
	// Pins is the only folder whose files may be removed; nil means none.
	Pins *os.File
	// LoadPrograms allows loading BPF programs and opening perf events. Without uprobe_multi, attaching needs both.
	LoadPrograms bool
	// Signals allows sending signals to other processes.
	Signals bool
}

// Enter puts every thread of the process into the sandbox, permanently. Refused calls fail with EPERM, and the kernel's
// audit log gets a line (type 1326) with the number of the call. Calls for which programs have a substitute fail with
// ENOSYS, and are not logged: a C library tries clone3 for every thread.
func Enter(cfg Config) error {
	var logged, quiet []refusal
	for _, r := range refusals(cfg) {
		if r.with() == unix.ENOSYS {
			quiet = append(quiet, r)
		} else {
			logged = append(logged, r)
		}
	}
	// The first call affects only this thread. Loading a filter applies both the filter and the first call to all threads.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("set no_new_privs: %w", err)
	}
	if err := load(quiet, 0); err != nil {
		return err
	}
	return load(logged, unix.SECCOMP_FILTER_FLAG_LOG)
}

// load makes the refusals apply to all threads. If there are several filters, a refusal by any of them wins.
func load(refusals []refusal, flags uintptr) error {
	instructions, err := bpf.Assemble(filter(refusals))
	if err != nil {
		return fmt.Errorf("assemble seccomp filter: %w", err)
	}
	raw := make([]unix.SockFilter, len(instructions))
	for i, in := range instructions {
		raw[i] = unix.SockFilter{Code: in.Op, Jt: in.Jt, Jf: in.Jf, K: in.K}
	}
	program := unix.SockFprog{Len: uint16(len(raw)), Filter: &raw[0]} // some 400 of at most 4096
	thread, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC|flags,
		uintptr(unsafe.Pointer(&program))) //nolint:gosec // argument of seccomp(2)
	if errno != 0 {
		return fmt.Errorf("load seccomp filter: %w", errno)
	} else if thread != 0 {
		return fmt.Errorf("load seccomp filter: thread %d has another filter", thread)
	}
	return nil
}

// Offsets in struct seccomp_data of <linux/seccomp.h>.
const (
	callOffset     = 0
	archOffset     = 4
	argumentOffset = 16
)

// filter returns a seccomp program that applies the refusals, and refuses every call of another architecture.
func filter(refusals []refusal) []bpf.Instruction {
	refuse := func(errno unix.Errno) bpf.Instruction {
		return bpf.RetConstant{Val: unix.SECCOMP_RET_ERRNO | uint32(errno)}
	}
	load := func(offset uint32) bpf.Instruction { return bpf.LoadAbsolute{Off: offset, Size: 4} }
	program := []bpf.Instruction{
		load(archOffset),
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: auditArch, SkipTrue: 1},
		refuse(unix.EPERM),
		load(callOffset),
		bpf.JumpIf{Cond: bpf.JumpLessThan, Val: firstForeignCall, SkipTrue: 1},
		refuse(unix.EPERM),
	}
	for _, r := range refusals {
		if r.test == nil {
			program = append(program, bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(r.call), SkipFalse: 1}, refuse(r.with()))
			continue
		}
		program = append(program,
			bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(r.call), SkipFalse: 4},
			load(argumentOffset+8*r.test.argument), // its lower half, on little-endian machines
			bpf.JumpIf{Cond: r.test.comparison, Val: r.test.value, SkipFalse: 1},
			refuse(r.with()),
			load(callOffset))
	}
	return append(program, bpf.RetConstant{Val: unix.SECCOMP_RET_ALLOW})
}
