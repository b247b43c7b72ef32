// SPDX-License-Identifier: Apache-2.0

//go:build linux && amd64

package crau_test

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// hit is a hit of a probe. Its process is stopped at the site.
type hit struct {
	name string
	args []uint64
	pid  int
	mem  *os.File
}

// trace runs a program with a breakpoint at each of its probe sites, calls on for each hit, and returns what the
// program printed. It needs no privileges. It only handles programs with one thread, and no probes in shared libraries.
// At each hit, trace overwrites the same part of the stack as the call that Linux 6.18 puts at an optimised site.
func trace(t *testing.T, on func(hit), program string, args ...string) string {
	t.Helper()
	notes := readNotes(t, program)
	runtime.LockOSThread() // the tracer of a process is a thread
	defer runtime.UnlockOSThread()

	var stdout, stderr bytes.Buffer
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Ptrace: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	pid := cmd.Process.Pid
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(pid, &status, 0, nil); err != nil {
		t.Fatal(err)
	}
	mem, err := os.OpenFile(fmt.Sprintf("/proc/%d/mem", pid), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer mem.Close()

	bias := loadBias(t, pid, program)
	sites := make(map[uint64]note)
	for _, n := range notes {
		n.site += bias
		if bytes.HasPrefix(n.code, nops) { // set the breakpoint where Linux 6.18 puts a call
			skip := bytes.Index(nops, nop5)
			n.site, n.code = n.site+uint64(skip), n.code[skip:]
		}
		sites[n.site] = n
		if _, err := mem.WriteAt([]byte{0xcc}, int64(n.site)); err != nil {
			t.Fatal(err)
		}
	}
	for signal := 0; ; {
		if err := syscall.PtraceCont(pid, signal); err != nil {
			t.Fatal(err)
		}
		if _, err := syscall.Wait4(pid, &status, 0, nil); err != nil {
			t.Fatal(err)
		}
		if !status.Stopped() {
			break
		}
		if signal = int(status.StopSignal()); signal != int(syscall.SIGTRAP) {
			continue
		}
		signal = 0
		var regs syscall.PtraceRegs
		if err := syscall.PtraceGetRegs(pid, &regs); err != nil {
			t.Fatal(err)
		}
		n, ok := sites[regs.Rip-1]
		if !ok {
			t.Fatalf("breakpoint at %#x, where no site is", regs.Rip-1)
		}
		regs.Rip = n.site + uint64(nopLen(n.code))
		if err := syscall.PtraceSetRegs(pid, &regs); err != nil {
			t.Fatal(err)
		}
		if nopLen(n.code) == len(nop5) {
			if _, err := mem.WriteAt(binary.LittleEndian.AppendUint64(nil, regs.Rip), int64(regs.Rsp-8)); err != nil {
				t.Fatal(err)
			}
		}
		h := hit{name: n.name, pid: pid, mem: mem}
		for _, arg := range n.args {
			h.args = append(h.args, operandValue(t, &regs, arg))
		}
		on(h)
	}
	if status.ExitStatus() != 0 {
		t.Errorf("%s %v: exit status %d, signal %d\n%s", program, args, status.ExitStatus(), status.Signal(), &stderr)
	}
	// The process has already been reaped, so Wait returns an error, but it still waits for the output.
	if err := cmd.Wait(); err != nil && !errors.Is(err, syscall.ECHILD) {
		t.Fatal(err)
	}
	return stdout.String()
}

func nopLen(code []byte) int {
	for _, nop := range [][]byte{nop1, nop5, nop10} {
		if bytes.HasPrefix(code, nop) {
			return len(nop)
		}
	}
	return 0
}

// loadBias returns the difference between an address in the process and the same address in the program's file.
func loadBias(t *testing.T, pid int, program string) uint64 {
	t.Helper()
	f, err := elf.Open(program)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	auxv, err := os.ReadFile(fmt.Sprintf("/proc/%d/auxv", pid))
	if err != nil {
		t.Fatal(err)
	}
	const atEntry = 9
	for ; len(auxv) >= 16; auxv = auxv[16:] {
		if quad(auxv) == atEntry {
			return quad(auxv[8:]) - f.Entry
		}
	}
	t.Fatal("no entry address in the auxiliary vector")
	return 0
}

func operandValue(t *testing.T, regs *syscall.PtraceRegs, arg string) uint64 {
	t.Helper()
	text := strings.TrimPrefix(arg, "8@")
	if number, ok := strings.CutPrefix(text, "$"); ok {
		if v, err := strconv.ParseInt(number, 10, 64); err == nil {
			return uint64(v)
		}
	}
	v, ok := map[string]uint64{
		"%rax": regs.Rax, "%rbx": regs.Rbx, "%rcx": regs.Rcx, "%rdx": regs.Rdx,
		"%rsi": regs.Rsi, "%rdi": regs.Rdi, "%rbp": regs.Rbp, "%r8": regs.R8, "%r9": regs.R9, "%r10": regs.R10,
		"%r11": regs.R11, "%r12": regs.R12, "%r13": regs.R13, "%r14": regs.R14, "%r15": regs.R15,
	}[text]
	if !ok {
		t.Fatalf("operand %q", arg)
	}
	return v
}

// event formats a hit as one line. Contexts are called c1, c2, ... in the order of their first appearance.
func (h hit) event(contexts map[uint64]int) string {
	context := func(v uint64) string {
		if v == ^uint64(0) {
			return "-"
		}
		if contexts[v] == 0 {
			contexts[v] = len(contexts) + 1
		}
		return fmt.Sprintf("c%d", contexts[v])
	}
	line := fmt.Sprintf("%s %s", h.name, context(h.args[0]))
	switch h.name {
	case "new_context":
		line += " " + context(h.args[1])
	case "word_data":
		line += fmt.Sprintf(" %s=%d", h.text(h.args[1]), h.args[2])
	case "string_data":
		line += fmt.Sprintf(" %s=%q", h.text(h.args[1]), h.text(h.args[2]))
	case "blob_data":
		line += fmt.Sprintf(" %s=%x", h.text(h.args[1]), h.bytes(h.args[2], h.args[3]))
	case "data":
		line += h.elements(h.args[1], h.args[2])
	case "new_context_with_data":
		line += " " + context(h.args[1]) + h.elements(h.args[2], h.args[3])
	}
	return line
}

func (h hit) elements(array, n uint64) string {
	var line strings.Builder
	for b := h.bytes(array, 24*n); len(b) > 0; b = b[24:] {
		key, value, size := h.text(quad(b)), quad(b[8:]), quad(b[16:])
		switch size {
		case ^uint64(0) - 1:
			fmt.Fprintf(&line, " %s=%d", key, value)
		case ^uint64(0):
			fmt.Fprintf(&line, " %s=%q", key, h.text(value))
		default:
			fmt.Fprintf(&line, " %s=%x", key, h.bytes(value, size))
		}
	}
	return line.String()
}

func (h hit) bytes(addr, n uint64) []byte {
	b := make([]byte, n)
	if _, err := h.mem.ReadAt(b, int64(addr)); err != nil && n > 0 {
		return []byte(err.Error())
	}
	return b
}

func (h hit) text(addr uint64) string {
	var s []byte
	for b := []byte{0}; ; addr++ {
		if _, err := h.mem.ReadAt(b, int64(addr)); err != nil {
			return err.Error()
		}
		if b[0] == 0 {
			return string(s)
		}
		s = append(s, b[0])
	}
}

// resident reports whether the page with address addr is in a page table of the process.
func (h hit) resident(t *testing.T, addr uint64) bool {
	t.Helper()
	f, err := os.Open(fmt.Sprintf("/proc/%d/pagemap", h.pid))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	entry := make([]byte, 8)
	if _, err := f.ReadAt(entry, int64(addr/uint64(os.Getpagesize())*8)); err != nil {
		t.Fatal(err)
	}
	return quad(entry)>>63 != 0
}
