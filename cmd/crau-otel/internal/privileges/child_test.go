// SPDX-License-Identifier: Apache-2.0

package privileges

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/crau-otel/crau-otel/probes"
	"github.com/crau-otel/crau-otel/test/harness"
	"github.com/crau-otel/crau-otel/tracer"
	"github.com/crau-otel/crau-otel/tracer/event"
)

// childVariable is the environment variable that makes TestChild run; its value is a childConfig in JSON.
const childVariable = "PRIVILEGES_CHILD"

// childConfig configures a run of TestChild.
type childConfig struct {
	Spec        string // user to switch to
	Keep        Set    // capabilities to keep
	Early, Late string // files to attach to before and after the drop; without Early, TestChild reports before it drops
	Stranger    int    // id of a process of another user
}

// lockedThreads is the number of threads that a child has in addition to the one that drops privileges. They exist
// before the drop, and must be affected too.
const lockedThreads = 8

// counter counts events by process id.
type counter map[string]int

func (c counter) Handle(ev *event.Event) { c[strconv.Itoa(int(ev.PID))]++ }
func (c counter) Tick(uint64)            {}

// TestChild is run by other tests in a separate process. It drops privileges and reports what it can still do. When the
// parent lets it continue, it reports the events that it has received.
func TestChild(t *testing.T) {
	encoded := os.Getenv(childVariable)
	if encoded == "" {
		t.Skip("for other tests")
	}
	var cfg childConfig
	if err := json.Unmarshal([]byte(encoded), &cfg); err != nil {
		t.Fatal(err)
	}
	u, err := Parse(cfg.Spec)
	if err != nil {
		t.Fatal(err)
	}
	results, orders := json.NewEncoder(os.NewFile(3, "results")), os.NewFile(4, "orders")

	started, stay := make(chan struct{}), make(chan struct{})
	for range lockedThreads {
		go func() {
			runtime.LockOSThread()
			started <- struct{}{}
			<-stay
		}()
	}
	for range lockedThreads {
		<-started
	}
	defer close(stay)

	if cfg.Early == "" {
		tried := try(t, cfg)
		tried["load"] = outcome(load())
		tried["attach single uprobes"] = outcome(attachSingle(cfg.Late))
		tried["drop"] = fmt.Sprint(Drop(u, cfg.Keep))
		if err := results.Encode(tried); err != nil {
			t.Error(err)
		}
		return
	}
	tr, err := tracer.New(tracer.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	events := make(counter)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- tr.Run(ctx, events) }()
	early, _ := harness.File(t, tr, cfg.Early)

	if err := Drop(u, cfg.Keep); err != nil {
		t.Fatal(err)
	}
	late := attachByDescriptor(t, tr, cfg.Late)
	if err := results.Encode(try(t, cfg)); err != nil {
		t.Fatal(err)
	}
	if _, err := orders.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(early.Close(), late.Close()); err != nil {
		t.Error(err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := tr.Stats(); err != nil {
		t.Error(err)
	}
	if err := results.Encode(events); err != nil {
		t.Error(err)
	}
}

// attachByDescriptor attaches to a file through a descriptor, as discovery does.
func attachByDescriptor(t *testing.T, tr *tracer.Tracer, path string) interface{ Close() error } {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	a, _ := harness.File(t, tr, fmt.Sprintf("/proc/self/fd/%d", file.Fd()))
	return a
}

// try attempts privileged operations. It returns the error number of each, and the /proc/PID/status of a child process.
func try(t *testing.T, cfg childConfig) map[string]string {
	t.Helper()
	proc := fmt.Sprintf("/proc/%d/", cfg.Stranger)
	_, link := os.Readlink(proc + "exe")
	status, err := exec.Command("cat", "/proc/self/status").Output()
	if err != nil {
		t.Fatal(err)
	}
	tried := map[string]string{"status of a child": string(status)}
	for what, err := range map[string]error{
		"read a private file":         open("/etc/shadow", os.O_RDONLY),
		"write a file of root's":      open("/etc/shadow", os.O_WRONLY),
		"give a file away":            os.Chown(cfg.Late, stranger, stranger),
		"become root":                 syscall.Setuid(0),
		"change groups":               syscall.Setgroups([]int{0}),
		"regain capabilities":         limit(^Set(0) >> (63 - unix.CAP_LAST_CAP)),
		"mount":                       unix.Mount("none", "/mnt", "tmpfs", 0, ""),
		"signal root":                 syscall.Kill(1, 0),
		"open a stranger's file":      openMapped(proc),
		"read a stranger's link":      link,
		"open own mapped file":        openMapped("/proc/self/"),
		"open own file by descriptor": openByDescriptor(cfg.Late),
		"lease a file of root's":      lease("/etc/passwd"),
		"read own maps":               open("/proc/self/maps", os.O_RDONLY),
	} {
		tried[what] = outcome(err)
	}
	return tried
}

// outcome returns the text of the error number in err, or "" for success.
func outcome(err error) string {
	if errno := syscall.Errno(0); errors.As(err, &errno) {
		return errno.Error()
	} else if err != nil {
		return err.Error()
	}
	return ""
}

func load() error {
	tr, err := tracer.New(tracer.Config{})
	if err != nil {
		return err
	}
	return tr.Close()
}

// attachSingle attaches to one site of a file with a single uprobe, as on kernels before Linux 6.6.
func attachSingle(path string) error {
	tr, err := tracer.New(tracer.Config{SingleUprobe: true})
	if err != nil {
		return err
	}
	defer tr.Close()
	file, err := probes.Open(path)
	if err != nil {
		return err
	}
	a, err := probes.Attach(path, tr.Program(), false, file.Sites[:1], []uint64{0})
	if err != nil {
		return err
	}
	return a.Close()
}

func open(path string, flag int) error {
	f, err := os.OpenFile(path, flag, 0)
	if err != nil {
		return err
	}
	return f.Close()
}

func lease(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_RDLCK)
	return err
}

// openMapped opens a file that a process maps, through /proc/PID/map_files.
func openMapped(proc string) error {
	entries, err := os.ReadDir(filepath.Join(proc, "map_files"))
	if err != nil {
		return err
	}
	return open(filepath.Join(proc, "map_files", entries[0].Name()), os.O_RDONLY)
}

func openByDescriptor(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return open(fmt.Sprintf("/proc/self/fd/%d", f.Fd()), os.O_RDONLY)
}
