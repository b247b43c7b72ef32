// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/crau-otel/crau-otel/test/needs"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/crau-otel/crau-otel/limits"
)

// roleVariable is an environment variable that makes the test binary run as something other than a test.
const roleVariable = "DISCOVER_TEST_ROLE"

func TestMain(m *testing.M) {
	switch os.Getenv(roleVariable) {
	case "map":
		mapFiles()
	case "scan":
		scanOnce()
	default:
		goleak.VerifyTestMain(m)
	}
}

// mapFiles reads paths from standard input, one per line. It maps each file as executable and answers with a line;
// "unmap PATH" unmaps a file.
func mapFiles() {
	maps := make(map[string][]byte)
	lines := bufio.NewScanner(os.Stdin)
	fmt.Println("ready")
	for lines.Scan() {
		path := lines.Text()
		if path, ok := strings.CutPrefix(path, "unmap "); ok {
			fmt.Println(unix.Munmap(maps[path]))
			continue
		}
		data, err := mapFile(path)
		maps[path] = data
		fmt.Println(err)
	}
}

func mapFile(path string) ([]byte, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	return unix.Mmap(fd, 0, os.Getpagesize(), unix.PROT_READ|unix.PROT_EXEC, unix.MAP_PRIVATE)
}

// scanOnce prints the paths of the files that a scan finds.
func scanOnce() {
	d, err := New(Config{Rules: Rules{Enabled: true}, Found: func(f *File) { fmt.Println(f.Path) }})
	if err == nil {
		err = d.Scan(context.Background())
	}
	if err != nil {
		fmt.Println("error:", err)
	}
}

// child is a process that the test exchanges lines with.
type child struct {
	*exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// start starts a command and waits until it prints that it is ready. The command is killed when the test ends.
func start(t testing.TB, cmd *exec.Cmd) *child {
	t.Helper()
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c := &child{cmd, in, bufio.NewReader(out)}
	t.Cleanup(c.stop)
	if line := c.read(t); line != "ready" {
		t.Fatalf("%s says %q", cmd.Path, line)
	}
	return c
}

func (c *child) read(t testing.TB) string {
	t.Helper()
	line, err := c.out.ReadString('\n')
	if err != nil {
		t.Fatalf("%s ended: %v", c.Path, err)
	}
	return strings.TrimSuffix(line, "\n")
}

func (c *child) stop() {
	_ = c.Process.Kill()
	_ = c.Wait()
}

func (c *child) pid() uint32 { return uint32(c.Process.Pid) }

// tell sends a line to the process and returns its answer.
func (c *child) tell(t testing.TB, line string) string {
	t.Helper()
	if _, err := io.WriteString(c.in, line+"\n"); err != nil {
		t.Fatal(err)
	}
	return c.read(t)
}

// mapper starts a process that maps the files at paths.
func mapper(t testing.TB, paths ...string) *child {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), roleVariable+"=map")
	c := start(t, cmd)
	c.mapAll(t, paths...)
	return c
}

func (c *child) mapAll(t testing.TB, paths ...string) {
	t.Helper()
	for _, path := range paths {
		if answer := c.tell(t, path); answer != "<nil>" {
			t.Fatalf("map %s: %s", path, answer)
		}
	}
}

// buildSample builds the sample programs once. On a machine without make, they must exist already.
var buildSample = sync.OnceValues(func() (string, error) {
	dir, err := filepath.Abs("../../examples/sample")
	if err != nil {
		return "", err
	}
	if _, err := exec.LookPath("make"); err != nil {
		return dir, nil //nolint:nilerr // the programs should exist already
	}
	if out, err := exec.Command("make", "-s", "-C", dir).CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the sample programs: %w: %s", err, out)
	}
	return dir, nil
})

// sample writes a fresh copy of a sample program, "sample" or "sample-static", to dir/name and returns the path.
func sample(t testing.TB, program, dir, name string) string {
	t.Helper()
	from, err := buildSample()
	if err != nil {
		needs.Missing(t, "%v", err)
	}
	data, err := os.ReadFile(filepath.Join(from, program))
	if err != nil {
		needs.Missing(t, "%v", err)
	}
	return write(t, filepath.Join(dir, name), data)
}

// write writes a file with a new inode, and makes the folders on its path.
func write(t testing.TB, path string, data []byte) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path+"~", data, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+"~", path); err != nil {
		t.Fatal(err)
	}
	return path
}

// wait starts the sample program at path, which waits until it is killed.
func wait(t testing.TB, path string, prepare func(*exec.Cmd)) *child {
	t.Helper()
	cmd := exec.Command(path, "--wait")
	if prepare != nil {
		prepare(cmd)
	}
	return start(t, cmd)
}

// watcher is a Discoverer that records its calls of Found, Judged and Gone.
type watcher struct {
	*Discoverer
	monitor *limits.Monitor

	lock  sync.Mutex
	files map[Key]*File
	log   []string      // "+path" for Found, "=path" for Judged, "-path" for Gone
	seen  chan struct{} // signals a new line in log; capacity 1
}

// discover returns a Discoverer that only finds files in the given folders, so that other programs of the machine do
// not matter.
func discover(t testing.TB, cfg Config, folders ...string) *watcher {
	t.Helper()
	if cfg.Limits == nil {
		cfg.Limits = limits.New(limits.Config{})
	}
	w := &watcher{monitor: cfg.Limits, files: make(map[Key]*File), seen: make(chan struct{}, 1)}
	cfg.Found = func(f *File) { w.note("+", f) }
	cfg.Judged = func(f *File) { w.note("=", f) }
	cfg.Gone = func(k Key) { w.note("-", w.files[k]) }
	for _, folder := range folders {
		cfg.Allow = append(cfg.Allow, folder+"/**")
	}
	d, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	w.Discoverer = d
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

func (w *watcher) note(sign string, f *File) {
	w.lock.Lock()
	defer w.lock.Unlock()
	if sign == "-" {
		delete(w.files, f.Key)
	} else {
		w.files[f.Key] = f
	}
	w.log = append(w.log, sign+f.Path)
	select {
	case w.seen <- struct{}{}:
	default:
	}
}

// history returns the calls so far, sorted.
func (w *watcher) history() []string {
	w.lock.Lock()
	defer w.lock.Unlock()
	return slices.Sorted(slices.Values(w.log))
}

func (w *watcher) scan(t testing.TB) {
	t.Helper()
	if err := w.Scan(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// run runs the Discoverer until the test ends.
func (w *watcher) run(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// await waits until exactly these calls were made, in any order, and returns how long that took.
func (w *watcher) await(t testing.TB, limit time.Duration, want ...string) time.Duration {
	t.Helper()
	slices.Sort(want)
	start := time.Now()
	timeout := time.After(limit)
	for !slices.Equal(w.history(), want) {
		select {
		case <-w.seen:
		case <-timeout:
			t.Fatalf("after %v: reported %q, want %q", limit, w.history(), want)
		}
	}
	return time.Since(start)
}

// expect checks that exactly these calls were made so far, in any order.
func (w *watcher) expect(t testing.TB, want ...string) {
	t.Helper()
	slices.Sort(want)
	if got := w.history(); !slices.Equal(got, want) {
		t.Errorf("reported %q, want %q", got, want)
	}
}

// file returns the reported file with that path.
func (w *watcher) file(t testing.TB, path string) *File {
	t.Helper()
	w.lock.Lock()
	defer w.lock.Unlock()
	for _, f := range w.files {
		if f.Path == path {
			return f
		}
	}
	t.Fatalf("%s was not reported", path)
	return nil
}

// entry returns the file with that path in the inventory.
func (w *watcher) entry(t testing.TB, path string) Entry {
	t.Helper()
	for _, e := range w.Inventory() {
		if e.Path == path {
			return e
		}
	}
	t.Fatalf("%s is not in the inventory", path)
	return Entry{}
}
