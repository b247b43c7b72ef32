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
	// Pins is the only folder from which files may be removed; nil means that no file may be removed.
	Pins *os.File
	// LoadPrograms allows loading BPF programs and opening perf events. Attaching without uprobe_multi needs both.
	LoadPrograms bool
	// Signals allows sending signals to other processes.
	Signals bool
}

// Enter puts every thread of the process into the sandbox, permanently. Refused calls fail with EPERM, and the kernel
// writes a line of type 1326 with the number of the call to the audit log. Some calls fail with ENOSYS instead, so that
// programs use a substitute; these are not logged, because a C library tries clone3 for every thread.
func Enter(cfg Config) error {
	var logged, quiet []refusal
	for _, r := range refusals(cfg) {
		if r.with() == unix.ENOSYS {
			quiet = append(quiet, r)
		} else {
			logged = append(logged, r)
		}
	}
	// prctl affects only this thread. Loading a filter then applies both the filter and no_new_privs to all threads.
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

// load installs a filter with these refusals on all threads. A call is refused if any of the installed filters refuses
// it.
func load(refusals []refusal, flags uintptr) error {
	instructions, err := bpf.Assemble(filter(refusals))
	if err != nil {
		return fmt.Errorf("assemble seccomp filter: %w", err)
	}
	raw := make([]unix.SockFilter, len(instructions))
	for i, in := range instructions {
		raw[i] = unix.SockFilter{Code: in.Op, Jt: in.Jt, Jf: in.Jf, K: in.K}
	}
	program := unix.SockFprog{Len: uint16(len(raw)), Filter: &raw[0]} // about 400 instructions; at most 4096 are allowed
	thread, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC|flags,
		uintptr(unsafe.Pointer(&program))) //nolint:gosec // argument of seccomp(2)
	if errno != 0 {
		return fmt.Errorf("load seccomp filter: %w", errno)
	} else if thread != 0 {
		return fmt.Errorf("load seccomp filter: thread %d has another filter", thread)
	}
	return nil
}

// Offsets of fields of struct seccomp_data in <linux/seccomp.h>, in bytes.
const (
	callOffset     = 0
	archOffset     = 4
	argumentOffset = 16
)

// filter returns a seccomp program that applies the refusals. The program also refuses every call of another
// architecture or ABI.
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
			load(argumentOffset+8*r.test.argument), // the lower half of the argument, since the machine is little-endian
			bpf.JumpIf{Cond: r.test.comparison, Val: r.test.value, SkipFalse: 1},
			refuse(r.with()),
			load(callOffset))
	}
	return append(program, bpf.RetConstant{Val: unix.SECCOMP_RET_ALLOW})
}
