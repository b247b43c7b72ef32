// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/crau-otel/crau-otel/test/needs"

	"golang.org/x/sys/unix"

	"github.com/crau-otel/crau-otel/probes/host"
)

// soon is the longest time that a report may take on a machine that is busy with other tests. delay_test.go tests the
// actual delays.
const soon = time.Minute

// TestProgramInAnotherRootFolderIsFound checks that a program in another root folder is found under its path within
// that folder.
func TestProgramInAnotherRootFolderIsFound(t *testing.T) {
	t.Parallel()
	needs.Root(t)
	dir := t.TempDir()
	sample(t, "sample-static", dir, "bin/program")
	program := wait(t, "/bin/program", func(cmd *exec.Cmd) {
		cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: dir}
	})
	w := discover(t, Config{Rules: Rules{Enabled: true}}, "/bin")
	w.scan(t)
	f := w.file(t, "/bin/program")
	if len(f.Probes.Sites) == 0 || f.Probes.BuildID == "" || f.Trusted || f.Distrust != "/tmp can be written by others" && os.TempDir() == "/tmp" {
		t.Errorf("got %+v", f)
	}
	var have, want unix.Stat_t
	if err := unix.Stat(host.DescriptorPath(int(f.open.Fd())), &have); err != nil {
		t.Fatal(err)
	}
	if err := unix.Stat(filepath.Join(dir, "bin/program"), &want); err != nil {
		t.Fatal(err)
	}
	if have.Ino != want.Ino || f.Key != (Key{want.Dev, want.Ino, want.Ctim.Nano()}) {
		t.Errorf("%+v is inode %d, want %d", f.Key, have.Ino, want.Ino)
	}
	if e := w.entry(t, "/bin/program"); !slices.Equal(e.Processes, []uint32{program.pid()}) || e.Sites != len(f.Probes.Sites) || e.Refused != "" {
		t.Errorf("got %+v", e)
	}
}

// TestFilesOfAnotherMountNamespaceAreFound checks that a program is found on a file system that only its own mount
// namespace contains, and that it is distrusted.
func TestFilesOfAnotherMountNamespaceAreFound(t *testing.T) {
	t.Parallel()
	needs.Root(t)
	for name, test := range map[string]struct {
		flags    uintptr
		distrust string
	}{
		"mount namespace": {syscall.CLONE_NEWNS, "can be written by others"},
		"user namespace":  {syscall.CLONE_NEWNS | syscall.CLONE_NEWUSER, "in a user namespace whose root is user 65534"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, from := t.TempDir(), sample(t, "sample-static", t.TempDir(), "program")
			for _, folder := range []string{filepath.Dir(dir), dir, filepath.Dir(from)} {
				if err := os.Chmod(folder, 0o755); err != nil { // other users must be able to reach the program
					t.Fatal(err)
				}
			}
			script := fmt.Sprintf(`mount -t tmpfs none %[1]s && cp %[2]s %[1]s/program && exec %[1]s/program --wait`, dir, from)
			cmd := exec.Command("/bin/sh", "-c", script)
			cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: test.flags}
			if test.flags&syscall.CLONE_NEWUSER != 0 {
				cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: 65534, Size: 1}}
				cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: 65534, Size: 1}}
				cmd.SysProcAttr.Credential = &syscall.Credential{}
			}
			program := start(t, cmd)
			path := filepath.Join(dir, "program")
			if _, err := os.Stat(path); err == nil {
				t.Fatal("the program can be seen from here")
			}

			w := discover(t, Config{Rules: Rules{Enabled: true}}, dir)
			w.scan(t)
			if f := w.file(t, path); f.Trusted || !strings.Contains(f.Distrust, test.distrust) {
				t.Errorf("distrusted because %q, want %q", f.Distrust, test.distrust)
			}
			// When its last process ends, the mount namespace and the file are gone.
			program.stop()
			w.scan(t)
			w.expect(t, "+"+path, "-"+path)
		})
	}
}

// TestLibraryReplacedWhileItIsMapped checks that if a library is replaced while a process maps it, the old and the new
// file are both reported.
func TestLibraryReplacedWhileItIsMapped(t *testing.T) {
	t.Parallel()
	needs.Root(t)
	dir := t.TempDir()
	path := sample(t, "sample", dir, "lib.so.1")
	w := discover(t, Config{Rules: Rules{Enabled: true}}, dir)
	before := mapper(t, path)
	w.scan(t)
	first := w.file(t, path)

	sample(t, "sample", dir, "lib.so.1") // a new inode, and a new change time for the old one
	w.scan(t)
	w.expect(t, "+"+path)
	after := mapper(t, path)
	w.scan(t)
	w.expect(t, "+"+path, "+"+path)

	// Both files are held open, although the path leads only to the new one.
	var have unix.Stat_t
	if err := unix.Stat(host.DescriptorPath(int(first.open.Fd())), &have); err != nil || have.Ino != first.Key.Inode || have.Nlink != 0 {
		t.Errorf("the replaced file is %+v, %v", have, err)
	}
	list := w.Inventory()
	if len(list) != 2 || list[0].Mappers != 1 || list[1].Mappers != 1 || list[0].Path != path || list[1].Path != path {
		t.Errorf("got %+v", list)
	}

	before.stop()
	w.scan(t)
	w.expect(t, "+"+path, "+"+path, "-"+path)
	if _, ok := w.files[first.Key]; ok {
		t.Error("the new file is gone instead of the old one")
	}
	// The new file stays attached for future processes.
	after.stop()
	w.scan(t)
	w.expect(t, "+"+path, "+"+path, "-"+path)
}

// TestChangedFileIsExaminedAgain checks that a known file is examined again after it was written to, although its inode
// stays the same.
func TestChangedFileIsExaminedAgain(t *testing.T) {
	t.Parallel()
	needs.Root(t)
	dir := t.TempDir()
	path := write(t, filepath.Join(dir, "lib.so"), []byte("nothing in it so far"))
	w := discover(t, Config{Rules: Rules{Enabled: true}}, dir)
	mapper(t, path)
	w.scan(t)
	w.expect(t)

	data, err := os.ReadFile(sample(t, "sample", dir, "other"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o755); err != nil {
		t.Fatal(err)
	}
	mapper(t, path)
	w.scan(t)
	w.expect(t, "+"+path)

	// A new modification time alone makes no difference. Truncation removes the probes.
	if err := os.Chtimes(path, time.Now(), time.Now()); err != nil {
		t.Fatal(err)
	}
	mapper(t, path)
	w.scan(t)
	w.expect(t, "+"+path)
	if err := os.Truncate(path, 4096); err != nil {
		t.Fatal(err)
	}
	mapper(t, path)
	w.scan(t)
	w.expect(t, "+"+path, "-"+path)
}

// TestFileNamedLikeADeletedOneIsFound checks that a file whose name ends in " (deleted)", which the kernel adds to the
// paths of deleted files, is not mistaken for a deleted file.
func TestFileNamedLikeADeletedOneIsFound(t *testing.T) {
	t.Parallel()
	needs.Root(t)
	dir := t.TempDir()
	path := sample(t, "sample", dir, "lib.so (deleted)")
	program := mapper(t, path)
	w := discover(t, Config{Rules: Rules{Enabled: true}}, dir)
	w.scan(t)
	w.expect(t, "+"+path)
	program.stop()
	w.scan(t)
	for _, e := range w.search.catalogue.files {
		e.checked = time.Time{}
	}
	w.scan(t)
	w.expect(t, "+"+path) // the file still exists
}

// TestFileDeletedBeforeItWasExaminedIsFound checks that a mapped file is found even if it was deleted before it was
// examined.
func TestFileDeletedBeforeItWasExaminedIsFound(t *testing.T) {
	t.Parallel()
	needs.Root(t)
	dir := t.TempDir()
	path := sample(t, "sample", dir, "a line\nfeed (deleted)")
	program := mapper(t)
	if err := os.Symlink(path, filepath.Join(dir, "short")); err != nil {
		t.Fatal(err)
	}
	program.mapAll(t, filepath.Join(dir, "short"))
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	w := discover(t, Config{Rules: Rules{Enabled: true}}, dir)
	w.scan(t)
	w.expect(t, "+"+path)
	if answer := program.tell(t, "unmap "+filepath.Join(dir, "short")); answer != "<nil>" {
		t.Fatal(answer)
	}
	w.scan(t)
	w.expect(t, "+"+path, "-"+path)
}

// TestProcessWhoseFirstThreadHasEndedIsExamined checks that a process whose first thread has ended is examined through
// another thread.
func TestProcessWhoseFirstThreadHasEndedIsExamined(t *testing.T) {
	t.Parallel()
	needs.Root(t)
	dir := t.TempDir()
	path := sample(t, "sample", dir, "lib.so")
	program := compile(t, dir, "threads", `
		#include <dlfcn.h>
		#include <fcntl.h>
		#include <pthread.h>
		#include <stdio.h>
		#include <sys/mman.h>
		#include <unistd.h>
		static void *run(void *path)
		{
			sleep(1);
			mmap(0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, open(path, O_RDONLY), 0);
			puts("ready");
			fflush(stdout);
			for (;;)
				pause();
		}
		int main(int argc, char **argv)
		{
			pthread_t thread;
			pthread_create(&thread, 0, run, argv[argc - 1]);
			pthread_exit(0);
		}`)
	start(t, exec.Command(program, path))
	w := discover(t, Config{Rules: Rules{Enabled: true}}, dir)
	w.scan(t)
	w.expect(t, "+"+path)
}

// compile compiles a C program.
func compile(t testing.TB, dir, name, source string, flags ...string) string {
	t.Helper()
	compiler, err := exec.LookPath("cc")
	if err != nil {
		needs.Missing(t, "needs a C compiler")
	}
	file := write(t, filepath.Join(dir, name+".c"), []byte(source))
	program := filepath.Join(dir, name)
	include, err := filepath.Abs("../../examples/include")
	if err != nil {
		t.Fatal(err)
	}
	args := append([]string{"-std=gnu11", "-O1", "-I", include, "-o", program, file, "-pthread", "-ldl"}, flags...)
	if out, err := exec.Command(compiler, args...).CombinedOutput(); err != nil {
		t.Fatalf("compile %s: %v: %s", name, err, out)
	}
	return program
}

// TestOrdinaryUserWithCapabilitiesFindsFiles checks which files a scan finds as an ordinary user with few or no
// capabilities.
func TestOrdinaryUserWithCapabilitiesFindsFiles(t *testing.T) {
	t.Parallel()
	needs.Root(t)
	dir := t.TempDir()
	kept := sample(t, "sample", dir, "kept")
	deleted := sample(t, "sample", dir, "deleted")
	mapper(t, kept, deleted)
	if err := os.Chmod(kept, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(deleted); err != nil {
		t.Fatal(err)
	}
	binary, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	// The scanner is a copy of the test binary, which may be in a folder that this user cannot read.
	scanner := write(t, filepath.Join(os.TempDir(), filepath.Base(dir)+fmt.Sprint(os.Getpid())), binary)
	t.Cleanup(func() { _ = os.Remove(scanner) })
	for name, test := range map[string]struct {
		capabilities []uintptr
		want         []string
	}{
		"all":             {[]uintptr{unix.CAP_SYS_PTRACE, unix.CAP_DAC_READ_SEARCH, unix.CAP_CHECKPOINT_RESTORE}, []string{deleted, kept}},
		"no map_files":    {[]uintptr{unix.CAP_SYS_PTRACE, unix.CAP_DAC_READ_SEARCH}, []string{kept}},
		"no capabilities": {nil, nil},
	} {
		cmd := exec.Command(scanner)
		cmd.Env = []string{roleVariable + "=scan"}
		cmd.Dir = "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Credential:  &syscall.Credential{Uid: 65534, Gid: 65534},
			AmbientCaps: test.capabilities,
		}
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s: %v: %s", name, err, out)
		}
		for _, path := range []string{kept, deleted} {
			if got, want := strings.Contains(string(out), path+"\n"), slices.Contains(test.want, path); got != want {
				t.Errorf("%s: %s found: %t, want %t; all: %s", name, path, got, want, out)
			}
		}
	}
}

// TestMappersOfOld checks that a process counts as one that maps a file even if it was examined before the rules
// included the file.
func TestMappersOfOld(t *testing.T) {
	t.Parallel()
	needs.Root(t)
	dir := t.TempDir()
	path := sample(t, "sample", dir, "lib.so")
	old := mapper(t, path)
	w := discover(t, Config{Rules: Rules{Enabled: true}, Interval: time.Hour}, dir+"/other")
	w.scan(t)
	w.expect(t)
	w.mu.Lock()
	w.search.rules.Libraries = []string{path} // in contrast to Reload, this does not schedule all processes
	w.mu.Unlock()
	w.scan(t)
	w.expect(t, "+"+path)
	if e := w.entry(t, path); !slices.Equal(e.Processes, []uint32{old.pid()}) {
		t.Errorf("got %+v", e)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	w.scan(t)
	w.expect(t, "+"+path)
	old.stop()
	time.Sleep(minCheckInterval)
	w.scan(t)
	w.expect(t, "+"+path, "-"+path)
}
