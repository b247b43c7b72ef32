// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/crau-otel/crau-otel/test/needs"

	"golang.org/x/sys/unix"

	"github.com/crau-otel/crau-otel/probes/host"
)

// TestDamagedFilesHideNoValidOne checks that a valid file of one process is found although another process maps 1,000
// damaged files.
func TestDamagedFilesHideNoValidOne(t *testing.T) {
	t.Parallel()
	needs.Root(t)
	dir := t.TempDir()
	good, err := os.ReadFile(sample(t, "sample", dir, "original"))
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	var paths []string
	for i := range 1000 {
		data := slices.Clone(good)
		switch i % 4 {
		case 0: // damage in the headers
			for range 1 + random.IntN(8) {
				data[random.IntN(0x400)] = byte(random.Uint32())
			}
		case 1: // damage anywhere
			for range 1 + random.IntN(4096) {
				data[random.IntN(len(data))] = byte(random.Uint32())
			}
		case 2: // damage in the section headers
			for range 1 + random.IntN(64) {
				data[len(data)-1-random.IntN(0xa00)] = byte(random.Uint32())
			}
		case 3: // the end is missing
			data = data[:1+random.IntN(len(data)-1)]
		}
		paths = append(paths, write(t, filepath.Join(dir, fmt.Sprintf("fuzzed/%04d.so", i)), data))
	}
	path := sample(t, "sample", dir, "good.so")
	mapper(t, paths...)
	mapper(t, path)
	w := discover(t, Config{Rules: Rules{Enabled: true}}, dir)
	w.scan(t)
	w.file(t, path)
	reported, refused := 0, 0
	for _, e := range w.Inventory() {
		if e.Refused == "" {
			reported++
		} else {
			refused++
		}
	}
	// Many of the damaged files have usable probes, but a process may have at most 16 files reported.
	if reported != 1+16 || refused == 0 {
		t.Errorf("%d files reported, %d refused", reported, refused)
	}
}

// TestOnlyRegularFilesAreRead checks that everything but regular files is ignored in library folders, in
// Rules.Libraries and in maps.
func TestOnlyRegularFilesAreRead(t *testing.T) {
	t.Parallel()
	needs.Root(t)
	host := t.TempDir()
	lib := filepath.Join(host, "usr/lib")
	path := sample(t, "sample", lib, "lib.so.1")
	for name, make := range map[string]func(path string) error{
		"fifo.so":      func(path string) error { return unix.Mkfifo(path, 0o666) },
		"zero.so":      func(path string) error { return unix.Mknod(path, unix.S_IFCHR|0o666, int(unix.Mkdev(1, 5))) },
		"terminal.so":  func(path string) error { return unix.Mknod(path, unix.S_IFCHR|0o666, int(unix.Mkdev(5, 2))) },
		"block.so":     func(path string) error { return unix.Mknod(path, unix.S_IFBLK|0o666, int(unix.Mkdev(7, 0))) },
		"socket.so":    func(path string) error { return unix.Mknod(path, unix.S_IFSOCK|0o666, 0) },
		"folder.so":    func(path string) error { return os.Mkdir(path, 0o755) },
		"loop.so":      func(path string) error { return os.Symlink("loop.so", path) },
		"dangling.so":  func(path string) error { return os.Symlink("/nowhere", path) },
		"to-fifo.so":   func(path string) error { return os.Symlink("../lib/fifo.so", path) },
		"to-magic.so":  func(path string) error { return os.Symlink("/proc/self/exe", path) },
		"lib.so":       func(path string) error { return os.Symlink("lib.so.1", path) },
		"elsewhere.so": func(path string) error { return os.Symlink("/usr/lib/lib.so.1", path) },
	} {
		if err := make(filepath.Join(lib, name)); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	mapper(t, filepath.Join(lib, "zero.so")) // /dev/zero is mapped as anonymous memory
	w := discover(t, Config{
		Rules: Rules{
			Enabled:   true,
			Libraries: []string{filepath.Join(lib, "fifo.so"), filepath.Join(lib, "terminal.so"), filepath.Join(lib, "missing.so"), lib},
		},
		Root: host,
	}, "/usr")
	w.scan(t)
	w.expect(t, "+/usr/lib/lib.so.1")
	if f := w.file(t, "/usr/lib/lib.so.1"); f.Key.Inode != inodeOf(t, path) {
		t.Errorf("got %+v", f.Key)
	}
}

func inodeOf(t *testing.T, path string) uint64 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	return st.Ino
}

// TestLinksStayInside checks that symbolic links in a root folder do not lead out of it.
func TestLinksStayInside(t *testing.T) {
	t.Parallel()
	outside := t.TempDir()
	inside := filepath.Join(outside, "a/b")
	secret := write(t, filepath.Join(outside, "secret"), []byte("outside"))
	mine := write(t, filepath.Join(inside, "secret"), []byte("inside"))
	for name, target := range map[string]string{
		"absolute": "/secret",
		"up":       "../../../../secret",
		"far":      secret,
		"magic":    "/proc/self/exe",
	} {
		if err := os.Symlink(target, filepath.Join(inside, name)); err != nil {
			t.Fatal(err)
		}
	}
	home := host.Root{Path: inside, Base: inside}
	for path, want := range map[string]uint64{
		"/absolute": inodeOf(t, mine), "/up": inodeOf(t, mine), "/far": 0, "/magic": 0, "/../../secret": inodeOf(t, mine),
		inside + "/secret": inodeOf(t, mine), inside + "/absolute": inodeOf(t, mine),
	} {
		fd, err := home.Find(path)
		var st unix.Stat_t
		if err == nil {
			_ = unix.Fstat(fd, &st)
			unix.Close(fd)
		}
		if st.Ino != want {
			t.Errorf("%s leads to inode %d, %v; want %d", path, st.Ino, err, want)
		}
	}
	// If the link to a mapping does not exist any more, another file at the mapping's path must not be taken for the
	// mapped file.
	s := sighting{task: 1, link: inside + "/no/such", path: inside + "/secret", root: home, hostRoot: home, id: host.MapID{Inode: 1}}
	if _, err := s.find(); err == nil {
		t.Error("a link that is gone was replaced by a path")
	}
}

// cgroup makes a cgroup for the test and returns its folder.
func cgroup(t *testing.T, name string) string {
	t.Helper()
	c, err := host.NewCgroups()
	if err != nil {
		needs.Missing(t, "%v", err)
	}
	defer c.Close()
	folder := filepath.Join(c.Mount(), fmt.Sprintf("crau-test-%d-%s", os.Getpid(), name))
	if err := os.Mkdir(folder, 0o755); err != nil {
		needs.Missing(t, "make a cgroup: %v", err)
	}
	t.Cleanup(func() { _ = unix.Rmdir(folder) })
	return folder
}

// move moves a process into a cgroup. It also kills the process when the test ends, so that the cgroup can be removed.
func (c *child) move(t *testing.T, cgroup string) {
	t.Helper()
	t.Cleanup(c.stop)
	if err := os.WriteFile(filepath.Join(cgroup, "cgroup.procs"), fmt.Append(nil, c.pid()), 0); err != nil {
		t.Fatal(err)
	}
}

func TestFilesOverALimitAreNotReported(t *testing.T) {
	t.Parallel()
	needs.Root(t)
	dir := t.TempDir()
	names := func(from, to int) (paths []string) {
		for i := from; i < to; i++ {
			paths = append(paths, sample(t, "sample", dir, fmt.Sprintf("%02d.so", i)))
		}
		return paths
	}
	one, other := cgroup(t, "one.service"), cgroup(t, "other.service")
	greedy := []*child{mapper(t, names(0, 4)...), mapper(t, names(4, 8)...), mapper(t, names(8, 12)...)}
	for _, c := range greedy {
		c.move(t, one)
	}
	modest := mapper(t, names(12, 13)...)
	modest.move(t, other)

	w := discover(t, Config{Rules: Rules{Enabled: true, MaxFilesPerContainer: 8}}, dir)
	count := func(c *child) (reported int, reasons []string) {
		for _, e := range w.Inventory() {
			if slices.Contains(e.Processes, c.pid()) {
				if e.Refused == "" {
					reported++
				} else if !slices.Contains(reasons, e.Refused) {
					reasons = append(reasons, e.Refused)
				}
			}
		}
		return reported, reasons
	}
	w.scan(t)
	total := 0
	for _, c := range greedy {
		reported, reasons := count(c)
		total += reported
		// Each process gets a quarter of the container's limit.
		if reported != 2 || len(reasons) != 1 || !strings.HasPrefix(reasons[0], "limit of 2 files per process") {
			t.Errorf("%d files of a greedy process reported; %q", reported, reasons)
		}
	}
	if reported, _ := count(modest); reported != 1 {
		t.Error("another container's limit was used up")
	}
	if w.entry(t, filepath.Join(dir, "12.so")).Cgroup != "/"+filepath.Base(other) {
		t.Errorf("got %+v", w.entry(t, filepath.Join(dir, "12.so")))
	}

	// After a reload, the lower limit of the container does not affect files that were already reported.
	if err := w.Reload(Rules{Enabled: true, Allow: []string{dir + "/**"}, MaxFilesPerContainer: 5, MaxFiles: -1}); err != nil {
		t.Fatal(err)
	}
	w.scan(t)
	total = 0
	for _, c := range greedy {
		reported, _ := count(c)
		total += reported
	}
	if total != 6 { // two of each process
		t.Errorf("%d files of the greedy container reported", total)
	}
	for _, c := range greedy[:2] {
		for i := range 12 {
			_ = c.tell(t, "unmap "+filepath.Join(dir, fmt.Sprintf("%02d.so", i)))
		}
	}
	for i := range 8 {
		_ = os.Remove(filepath.Join(dir, fmt.Sprintf("%02d.so", i)))
	}
	w.scan(t) // makes room for other files, which are reported when their process is examined again
	for _, p := range w.search.processes.table {
		p.due = p.looked
	}
	w.scan(t)
	if reported, reasons := count(greedy[2]); reported != 2 || len(reasons) != 1 {
		t.Errorf("%d files reported; %q", reported, reasons)
	}

	for name, rules := range map[string]Rules{
		"limit of 3 files":               {MaxFiles: 3},
		"limit of 150 sites":             {MaxSites: 150},
		"limit of 100 sites per process": {MaxSitesPerContainer: 200},
	} {
		rules.Enabled = true
		w := discover(t, Config{Rules: rules}, dir)
		w.scan(t)
		refused := 0
		for _, e := range w.Inventory() {
			if e.Refused == name {
				refused++
			}
		}
		if refused == 0 {
			t.Errorf("%s: %+v", name, w.Inventory())
		}
	}
}
