// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/crau-otel/crau-otel/test/needs"

	"golang.org/x/sys/unix"

	"github.com/crau-otel/crau-otel/limits"
	"github.com/crau-otel/crau-otel/probes/host"
)

// lines is a log that a test can read.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

// warnings returns how many warnings contain all of the texts.
func (l *lines) warnings(texts ...string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
next:
	for line := range strings.Lines(l.text.String()) {
		for _, text := range append(texts, "level=WARN") {
			if !strings.Contains(line, text) {
				continue next
			}
		}
		n++
	}
	return n
}

func (l *lines) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// subtree makes a cgroup with that path below the host's root cgroup, and returns its folder.
func subtree(t *testing.T, path string) string {
	t.Helper()
	c, err := host.NewCgroups()
	if err != nil {
		needs.Missing(t, "%v", err)
	}
	defer c.Close()
	folder := c.Mount()
	for part := range strings.SplitSeq(path, "/") {
		folder = filepath.Join(folder, part)
		if err := os.Mkdir(folder, 0o755); err == nil {
			t.Cleanup(func() { _ = os.Remove(folder) })
		} else if !os.IsExist(err) {
			needs.Missing(t, "make a cgroup: %v", err)
		}
	}
	return folder
}

// rootOnly returns a folder for files that only root can write.
func rootOnly(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/opt", "crau-quotas")
	if err != nil {
		needs.Missing(t, "%v", err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// crowd starts processes, each in its cgroup. Each process maps different files.
func crowd(t *testing.T, dir string, processes, each int, cgroup func(i int) string) {
	t.Helper()
	for i := range processes {
		var paths []string
		for j := range each {
			paths = append(paths, sample(t, "sample", dir, fmt.Sprintf("%d-%d.so", i, j)))
		}
		mapper(t, paths...).move(t, subtree(t, cgroup(i)))
	}
}

// reported returns how many files below a folder are reported.
func (w *watcher) reported(dir string) (n int) {
	for _, e := range w.Inventory() {
		if strings.HasPrefix(e.Path, dir+"/") && e.Refused == "" {
			n++
		}
	}
	return n
}

func (w *watcher) count(limit limits.Limit, class limits.Class) (count uint64) {
	w.monitor.Each(func(l limits.Limit, c limits.Class, n uint64) {
		if l == limit && c == class {
			count = n
		}
	})
	return count
}

// If a user gives cgroups the names of containers, their processes share the limits of that user, and a system service
// is still traced.
func TestMadeUpContainersShareTheirUsersLimits(t *testing.T) {
	t.Parallel()
	needs.Root(t)
	dir, system := t.TempDir(), rootOnly(t)
	name := func(i int) string {
		return fmt.Sprintf("user.slice/user-65534.slice/user@65534.service/app.slice/docker-%064x.scope", i)
	}
	const processes, each = 20, 4
	crowd(t, dir, processes, each, name)
	w := discover(t, Config{Rules: Rules{Enabled: true, MaxFiles: processes * each, MaxFilesPerContainer: 16}}, dir, system)
	w.scan(t)
	if got := w.reported(dir); got != 16 {
		t.Errorf("%d files of the user are reported, want 16", got)
	}
	service := mapper(t, sample(t, "sample", system, "library.so"))
	service.move(t, subtree(t, fmt.Sprintf("system.slice/crau-test-%d.service", os.Getpid())))
	w.scan(t)
	w.file(t, filepath.Join(system, "library.so"))
	if got := w.count(limits.OwnerFiles, limits.ClassRoot); got != processes*each-16 {
		t.Errorf("%d refused files are counted, want %d", got, processes*each-16)
	}
}

// If users together want more files than the limit, a part of the limit remains for files that only root can write, and
// another user still gets a share.
func TestOwnersShareAllFiles(t *testing.T) {
	t.Parallel()
	needs.Root(t)
	dir, system, other := t.TempDir(), rootOnly(t), t.TempDir()
	user := func(i int) string { return fmt.Sprintf("user.slice/user-%d.slice/session-1.scope", 70000+i) }
	crowd(t, dir, 4, 4, user)
	w := discover(t, Config{Rules: Rules{Enabled: true, MaxFiles: 16, MaxFilesPerContainer: 16}}, dir, system, other)
	w.scan(t)
	if got := w.reported(dir); got != 14 {
		t.Errorf("%d files are reported, want 14: two are kept", got)
	}
	for i := range 2 {
		mapper(t, sample(t, "sample", system, fmt.Sprintf("%d.so", i)))
	}
	mine := sample(t, "sample", other, "mine.so")
	mapper(t, mine).move(t, subtree(t, "user.slice/user-71000.slice/session-1.scope"))
	w.scan(t)
	if got := w.reported(system); got != 2 {
		t.Errorf("%d of root's files are reported, want 2", got)
	}
	w.file(t, mine)
	if got := w.reported(dir); got != 13 {
		t.Errorf("%d files are reported, want 13: one made room", got)
	}
	if got := w.count(limits.Files, limits.ClassRoot); got < 3 {
		t.Errorf("%d files are counted, want 3", got)
	}
}

// Each owner has separate warnings, which are repeated for as long as its files are refused.
func TestWarningsAboutLimitsComeAgain(t *testing.T) {
	t.Parallel()
	needs.Root(t)
	dir := t.TempDir()
	service := func(i int) string { return fmt.Sprintf("system.slice/crau-test-%d-%d.service", os.Getpid(), i) }
	crowd(t, dir, 2, 3, service)
	var log lines
	var mu sync.Mutex
	now := time.Now()
	w := discover(t, Config{
		Log: log.logger(), Rules: Rules{Enabled: true, MaxFilesPerContainer: 2},
		Limits: limits.New(limits.Config{Now: func() time.Time {
			mu.Lock()
			defer mu.Unlock()
			return now
		}}),
	}, dir)
	w.scan(t)
	for i := range 2 {
		if got := log.warnings("file with probes left out", "owner=\"user 0 in /"+service(i)); got != 1 {
			t.Errorf("%d warnings about service %d, want 1", got, i)
		}
	}
	mu.Lock()
	now = now.Add(2 * time.Minute)
	mu.Unlock()
	w.mu.Lock()
	w.search.catalogue.quotas.reminded = time.Time{}
	w.mu.Unlock()
	w.scan(t)
	for i := range 2 {
		if got := log.warnings("file with probes left out", "owner=\"user 0 in /"+service(i)); got != 2 {
			t.Errorf("%d warnings about service %d, want 2", got, i)
		}
	}
}

// Files for which there were no descriptors are reported after other files are gone.
func TestDescriptorsBoundFiles(t *testing.T) {
	t.Parallel()
	needs.Root(t)
	dir := t.TempDir()
	var paths []string
	for i := range 12 {
		paths = append(paths, sample(t, "sample", dir, fmt.Sprintf("%d.so", i)))
	}
	first, second := mapper(t, paths[:6]...), mapper(t, paths[6:]...)
	w := discover(t, Config{Rules: Rules{Enabled: true}, Descriptors: 22, Costs: Costs{PerFile: 1}}, dir)
	w.scan(t)
	if got := w.reported(dir); got != 7 {
		t.Errorf("%d files are reported, want 7 of two descriptors each: a quarter is for looking at files, an eighth of the rest kept", got)
	}
	w.run(t)
	for _, c := range []*child{first, second} {
		for i, path := range paths[:6] {
			if c == first && w.entry(t, path).Refused == "" && i < 3 {
				_ = c.tell(t, "unmap "+path)
				_ = os.Remove(path)
			}
		}
	}
	deadline := time.Now().Add(soon)
	for w.reported(dir) != 7 || len(w.Inventory()) == 12 {
		if time.Now().After(deadline) {
			t.Fatalf("%d files are reported, want 7", w.reported(dir))
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// Files that wait to be opened are not forgotten when their process maps another file.
func TestFilesThatWaitAreKept(t *testing.T) {
	t.Parallel()
	needs.Root(t)
	dir := t.TempDir()
	var paths []string
	for i := range 9 {
		paths = append(paths, sample(t, "sample", dir, fmt.Sprintf("%d.so", i)))
	}
	c := mapper(t, paths[:8]...)
	w := discover(t, Config{Rules: Rules{Enabled: true}, Descriptors: 64}, dir)
	if w.search.perTurn >= 8 {
		t.Fatalf("%d files are opened at a time", w.search.perTurn)
	}
	w.mu.Lock()
	p := w.search.processes.add(host.Process(c.pid()), "")
	w.search.look(p, time.Now())
	c.mapAll(t, paths[8])
	w.search.turns.revisit(p)
	for len(p.backlog) > 0 || p.stale {
		w.search.look(p, time.Now())
	}
	w.mu.Unlock()
	w.deliver(0)
	if got := w.reported(dir); got != len(paths) {
		t.Errorf("%d files are reported, want %d", got, len(paths))
	}
}

// If one owner has very many files without probes, files of another owner are still remembered.
func TestFactsAreShared(t *testing.T) {
	t.Parallel()
	c := newCatalogue(&Config{MaxFacts: 100, Limits: limits.New(limits.Config{})}, &rules{})
	attacker, victim := &finder{owner: &owner{}}, &finder{owner: &owner{}}
	for i := range uint64(1000) {
		c.learn(finding{inode: host.Inode{Number: i}}, attacker, false)
	}
	for i := range uint64(20) {
		c.learn(finding{inode: host.Inode{Number: 2000 + i}}, victim, false)
	}
	if len(c.facts) != 70 || attacker.owner.facts != 50 || victim.owner.facts != 20 {
		t.Errorf("%d facts, %d and %d", len(c.facts), attacker.owner.facts, victim.owner.facts)
	}
	c.forgetOld(time.Now().Add(time.Hour), time.Minute)
	if len(c.facts) != 0 || attacker.owner.facts != 0 || victim.owner.facts != 0 {
		t.Errorf("%d facts, %d and %d", len(c.facts), attacker.owner.facts, victim.owner.facts)
	}
}

// If Config.Changed fails, it is called again after a while.
func TestChangedIsTriedAgain(t *testing.T) {
	t.Parallel()
	fails, calls := true, 0
	var log lines
	w := discover(t, Config{Log: log.logger(), Changed: func(func(uint32)) error {
		if calls++; fails {
			return unix.EMFILE
		}
		return nil
	}}, t.TempDir())
	now := time.Now()
	for range 3 {
		if w.search.visitChanged(now) {
			t.Error("the processes are reported")
		}
	}
	if calls != 1 {
		t.Errorf("tried %d times at once", calls)
	}
	now = now.Add(minFailing)
	if w.search.visitChanged(now) || calls != 2 {
		t.Errorf("tried %d times", calls)
	}
	fails = false
	now = now.Add(2 * minFailing)
	for range 2 {
		if !w.search.visitChanged(now) {
			t.Error("the processes are not reported although they could be")
		}
	}
	if n := log.warnings("reports of changed processes failed"); n != 1 {
		t.Errorf("%d warnings", n)
	}
}
