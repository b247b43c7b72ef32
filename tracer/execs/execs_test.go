// SPDX-License-Identifier: Apache-2.0

package execs

import (
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/crau-otel/crau-otel/test/harness"
)

// reports counts the notifications about each process.
type reports struct {
	mu   sync.Mutex
	pids map[uint32]int
}

func (n *reports) notify(e Exec) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.pids[e.PID]++
}

func (n *reports) of(pid int) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.pids[uint32(pid)]
}

func start(t testing.TB) (*Watch, *reports) {
	t.Helper()
	harness.RequireBPF(t)
	n := &reports{pids: make(map[uint32]int)}
	w, err := Start(n.notify, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	return w, n
}

// copyOf returns a copy of a program, with its own inode.
func copyOf(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	to := t.TempDir() + "/program"
	if err := os.WriteFile(to, data, 0o755); err != nil {
		t.Fatal(err)
	}
	return to
}

func TestExecutedProgramsAreTold(t *testing.T) {
	w, n := start(t)
	program := copyOf(t, "/bin/true")
	var pids []int
	const runs = 20 // in quick succession, so that most are within PAUSE of execs.bpf.c
	for range runs {
		cmd := exec.Command(program)
		if err := cmd.Run(); err != nil {
			t.Fatal(err)
		}
		pids = append(pids, cmd.Process.Pid)
	}
	for range 500 {
		if n.of(pids[0]) != 0 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if n.of(pids[0]) != 1 {
		t.Errorf("the first process was reported %d times", n.of(pids[0]))
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	count := 0
	for _, pid := range pids {
		count += n.of(pid)
	}
	if count == runs {
		t.Error("every execution of the same program was reported")
	}
	if err := exec.Command(copyOf(t, "/bin/true")).Run(); err != nil {
		t.Fatal(err)
	}
	if err := w.Changed(func(uint32) {}); err == nil {
		t.Error("after Close, changes are still told")
	}
}

func TestProcessesThatMapMoreAreTold(t *testing.T) {
	w, _ := start(t)
	changed := func() []uint32 {
		t.Helper()
		var pids []uint32
		if err := w.Changed(func(pid uint32) { pids = append(pids, pid) }); err != nil {
			t.Fatal(err)
		}
		return pids
	}
	self := uint32(os.Getpid())
	if first := changed(); !slices.Contains(first, self) || !slices.Contains(first, uint32(os.Getppid())) || slices.Contains(first, 2) {
		t.Errorf("the first call reported %v, want all processes except kernel threads", first)
	}
	if slices.Contains(changed(), self) {
		t.Error("nothing has changed here")
	}
	page, err := unix.Mmap(-1, 0, os.Getpagesize(), unix.PROT_READ|unix.PROT_EXEC, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		t.Fatal(err)
	}
	more := changed()
	data, err := unix.Mmap(-1, 0, 64*os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		t.Fatal(err)
	}
	same := changed()
	if err := unix.Munmap(page); err != nil {
		t.Fatal(err)
	}
	less := changed()
	if err := unix.Munmap(data); err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(more, self) || slices.Contains(same, self) || !slices.Contains(less, self) {
		t.Errorf("told after mapping code: %v, data: %v, after unmapping code: %v; this is %d", more, same, less, self)
	}
}

// BenchmarkChanged measures Changed with 1,000 idle processes. Discovery calls it every 0.75 s.
func BenchmarkChanged(b *testing.B) {
	w, _ := start(b)
	for range 1000 {
		cmd := exec.Command("sleep", "600")
		if err := cmd.Start(); err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	}
	for b.Loop() {
		if err := w.Changed(func(uint32) {}); err != nil {
			b.Fatal(err)
		}
	}
}

// A process that unmaps a file and maps another one of equal size is reported. dlclose and dlopen do this.
func TestReplacedMappingOfEqualSizeIsReported(t *testing.T) {
	w, _ := start(t)
	self := uint32(os.Getpid())
	reported := func() bool {
		t.Helper()
		found := false
		if err := w.Changed(func(pid uint32) { found = found || pid == self }); err != nil {
			t.Fatal(err)
		}
		return found
	}
	one, other := copyOf(t, "/bin/true"), copyOf(t, "/bin/true")
	code := harness.MapCode(t, one)
	if !reported() {
		t.Error("a new mapping was not reported")
	}
	if reported() {
		t.Error("nothing has changed")
	}
	if err := unix.Munmap(code); err != nil {
		t.Fatal(err)
	}
	code = harness.MapCode(t, other)
	if !reported() {
		t.Error("another file of equal size was not reported")
	}
	// A mapping that is not executable changes the memory map, but is not reported.
	data, err := unix.Mmap(-1, 0, os.Getpagesize(), unix.PROT_READ, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		t.Fatal(err)
	}
	if reported() {
		t.Error("a mapping of data was reported")
	}
	for _, mapping := range [][]byte{code, data} {
		if err := unix.Munmap(mapping); err != nil {
			t.Error(err)
		}
	}
}
