// SPDX-License-Identifier: Apache-2.0

package probes

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/crau-otel/crau-otel/test/needs"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// requireBPF skips the test where BPF programs cannot be loaded. In CI, it fails the test instead.
func requireBPF(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		needs.Missing(t, "needs root")
	}
	probe, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.Kprobe, License: "Dual BSD/GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()},
	})
	if err != nil {
		needs.Missing(t, "load a program: %v", err)
	}
	probe.Close()
}

// loadProgram loads a program that runs body for every hit. Body finds the program's context (the saved registers) in
// R6, the cookie in R7, and in R8 the address of the map's word that has the cookie as its index.
func loadProgram(t *testing.T, multi bool, body ...asm.Instruction) (*ebpf.Program, *ebpf.Map) {
	t.Helper()
	words, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 64})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { words.Close() })
	code := asm.Instructions{
		asm.Mov.Reg(asm.R6, asm.R1),
		asm.FnGetAttachCookie.Call(),
		asm.Mov.Reg(asm.R7, asm.R0),
		asm.StoreMem(asm.RFP, -4, asm.R0, asm.Word),
		asm.LoadMapPtr(asm.R1, words.FD()),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, -4),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, "exit"),
		asm.Mov.Reg(asm.R8, asm.R0),
	}
	code = append(append(code, body...), asm.Mov.Imm(asm.R0, 0).WithSymbol("exit"), asm.Return())
	spec := &ebpf.ProgramSpec{Type: ebpf.Kprobe, License: "Dual BSD/GPL", Instructions: code}
	if multi {
		spec.AttachType = ebpf.AttachTraceUprobeMulti
	}
	program, err := ebpf.NewProgram(spec)
	if err != nil {
		t.Fatalf("%+v", err)
	}
	t.Cleanup(func() { program.Close() })
	return program, words
}

// counter loads a program that counts hits in the word of their cookie.
func counter(t *testing.T, multi bool) (*ebpf.Program, *ebpf.Map) {
	return loadProgram(t, multi, asm.Mov.Imm(asm.R1, 1), asm.StoreXAdd(asm.R8, asm.R1, asm.DWord))
}

func readWord(t *testing.T, words *ebpf.Map, cookie uint64) (value uint64) {
	t.Helper()
	if err := words.Lookup(uint32(cookie), &value); err != nil {
		t.Fatal(err)
	}
	return value
}

// traced is a running instance of the compiled program. It does not fire its probes before finish is called.
type traced struct {
	command *exec.Cmd
	stdin   io.WriteCloser
}

func start(t *testing.T, path string, rounds int) traced {
	t.Helper()
	command := exec.Command(path, strconv.Itoa(rounds))
	command.Stderr = os.Stderr
	stdin, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = command.Process.Kill() })
	if ready, err := bufio.NewReader(stdout).ReadByte(); err != nil || ready != 'r' {
		t.Fatalf("program is not ready: %q, %v", ready, err)
	}
	return traced{command, stdin}
}

// finish makes the program fire its probes, and waits until it has ended.
func (p traced) finish(t *testing.T) {
	t.Helper()
	if _, err := p.stdin.Write([]byte("g")); err != nil {
		t.Fatal(err)
	}
	if err := p.command.Wait(); err != nil {
		t.Fatal(err)
	}
}

// cookiesFrom returns consecutive cookies for the sites, starting with first.
func cookiesFrom(first uint64, sites []Site) []uint64 {
	cookies := make([]uint64, len(sites))
	for i := range cookies {
		cookies[i] = first + uint64(i)
	}
	return cookies
}

// checkCounts asserts that each cookie has one hit per round. The last cookie is that of SessionEnter, which the
// program reaches only once.
func checkCounts(t *testing.T, words *ebpf.Map, cookies []uint64, rounds int) {
	t.Helper()
	for i, cookie := range cookies {
		want := uint64(rounds)
		if i == len(cookies)-1 {
			want = 1
		}
		if got := readWord(t, words, cookie); got != want {
			t.Errorf("cookie %d: %d hits, want %d", cookie, got, want)
		}
	}
}

// eachMode runs a test with each kind of link. The test must not run in parallel with others: a process that another
// test has forked holds copies of the links until it executes its program, so that hits would still be counted after
// Close.
func eachMode(t *testing.T, run func(t *testing.T, multi bool)) {
	t.Helper()
	requireBPF(t)
	for name, multi := range map[string]bool{"multi": true, "single": false} {
		t.Run(name, func(t *testing.T) { run(t, multi) })
	}
}

func TestAttachedSitesAreHit(t *testing.T) {
	eachMode(t, func(t *testing.T, multi bool) {
		// With semaphores, the program skips its probes unless the kernel has incremented the semaphores.
		for _, flag := range []string{"-UNDEFINED", "-DSEMAPHORES"} {
			path := compile(t, "gcc", "-O2", "-DPROGRAM", flag)
			f, err := Open(path)
			if err != nil {
				t.Fatal(err)
			}
			program, words := counter(t, multi)
			cookies := cookiesFrom(1, f.Sites)
			running := start(t, path, 100)
			a, err := Attach(path, program, multi, f.Sites, cookies)
			if err != nil || a.Attached() != len(f.Sites) {
				t.Fatalf("got %+v, %v", a, err)
			}
			running.finish(t)
			checkCounts(t, words, cookies, 100)

			start(t, path, 7).finish(t)
			for i := range 2 {
				if err := a.Close(); err != nil {
					t.Errorf("close %d: %v", i, err)
				}
			}
			start(t, path, 1000).finish(t)
			if got := readWord(t, words, 1); got != 107 {
				t.Errorf("%d hits after detaching, want 107", got)
			}
			if got := readWord(t, words, 0); got != 0 {
				t.Errorf("%d hits without cookie", got)
			}
		}
	})
}

func TestAttachByDescriptor(t *testing.T) {
	eachMode(t, func(t *testing.T, multi bool) {
		path := compile(t, "gcc", "-O2", "-DPROGRAM")
		file, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		byFD := fmt.Sprintf("/proc/self/fd/%d", file.Fd())
		f, err := Open(byFD)
		if err != nil {
			t.Fatal(err)
		}
		program, words := counter(t, multi)
		cookies := cookiesFrom(1, f.Sites)
		a, err := Attach(byFD, program, multi, f.Sites, cookies)
		if err != nil {
			t.Fatal(err)
		}
		defer a.Close()
		start(t, path, 3).finish(t)
		checkCounts(t, words, cookies, 3)
	})
}

func TestAttachBadSites(t *testing.T) {
	eachMode(t, func(t *testing.T, multi bool) {
		path := compile(t, "gcc", "-O2", "-DPROGRAM")
		f, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		program, words := counter(t, multi)
		outside := Site{Probe: BlobData, Offset: 1 << 30}
		absent := Site{Probe: Data}
		places := []int{0, len(f.Sites) / 2, len(f.Sites)}
		for _, i := range places { // index of the bad site
			sites := append(slices.Insert(slices.Clone(f.Sites), i, outside), absent)
			cookies := append(slices.Insert(cookiesFrom(2, f.Sites), i, 1), 1)
			a, err := Attach(path, program, multi, sites, cookies)
			if a == nil || a.Attached() != len(f.Sites) || err == nil {
				t.Fatalf("bad site at %d: %+v, %v", i, a, err)
			}
			for _, want := range []string{"attach to " + path, "\nblob_data at offset 0x40000000: ", " data at offset 0x0: no offset"} {
				if strings.Count(err.Error(), want) != 1 {
					t.Errorf("bad site at %d: %v; want %q", i, err, want)
				}
			}
			if multi && len(a.links) > 6 {
				t.Errorf("bad site at %d: %d links for %d sites", i, len(a.links), len(f.Sites))
			}
			start(t, path, 5).finish(t)
			if err := a.Close(); err != nil {
				t.Error(err)
			}
		}
		for i, cookie := range cookiesFrom(2, f.Sites) {
			want := uint64(5 * len(places))
			if f.Sites[i].Probe == SessionEnter {
				want = uint64(len(places))
			}
			if got := readWord(t, words, cookie); got != want {
				t.Errorf("cookie %d: %d hits, want %d", cookie, got, want)
			}
		}
	})
}

func TestAttachNothing(t *testing.T) {
	eachMode(t, func(t *testing.T, multi bool) {
		path := compile(t, "gcc", "-O2", "-DPROGRAM")
		f, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		program, _ := counter(t, multi)
		wrong, _ := counter(t, !multi)
		outside := []Site{{Probe: Data, Offset: 1 << 30}}
		for name, attach := range map[string]func() (*Attachment, error){
			"no sites":      func() (*Attachment, error) { return Attach(path, program, multi, nil, nil) },
			"no cookies":    func() (*Attachment, error) { return Attach(path, program, multi, f.Sites, nil) },
			"absent file":   func() (*Attachment, error) { return Attach(path+"x", program, multi, outside, []uint64{1}) },
			"bad site":      func() (*Attachment, error) { return Attach(path, program, multi, outside, []uint64{1}) },
			"wrong program": func() (*Attachment, error) { return Attach(path, wrong, multi, f.Sites, cookiesFrom(1, f.Sites)) },
		} {
			if a, err := attach(); a != nil || err == nil || !strings.Contains(err.Error(), path) {
				t.Errorf("%s: got %+v, %v", name, a, err)
			}
		}
	})
}
