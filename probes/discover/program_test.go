// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/crau-otel/crau-otel/test/needs"

	"golang.org/x/sys/unix"

	"github.com/crau-otel/crau-otel/limits"
	"github.com/crau-otel/crau-otel/probes/host"
)

// copyRoot copies the files that a dynamic program needs into another root folder.
func copyRoot(t *testing.T, root string) {
	t.Helper()
	for _, file := range []string{"/lib64/ld-linux-x86-64.so.2", "/lib/x86_64-linux-gnu/libc.so.6"} {
		if out, err := exec.Command("sh", "-c", fmt.Sprintf("mkdir -p %[1]s%[2]s && cp -L %[3]s %[1]s%[2]s/", root, filepath.Dir(file), file)).CombinedOutput(); err != nil {
			needs.Missing(t, "%v: %s", err, out)
		}
	}
}

// TestShortLivedProgramsAreResolved checks that the library of a program that ends before its maps can be read is found
// from the ELF file, in each way in which a program can refer to a library.
func TestShortLivedProgramsAreResolved(t *testing.T) {
	t.Parallel()
	needs.Root(t)
	const user = `void fire(void); int main(void) { fire(); return 0; }`
	for name, test := range map[string]struct {
		folder string // folder of the library
		flags  []string
		env    []string
	}{
		"rpath":           {"/opt/a/lib", []string{"-Wl,--disable-new-dtags,-rpath,/opt/a/lib"}, nil},
		"runpath":         {"/opt/b/lib", []string{"-Wl,--enable-new-dtags,-rpath,/opt/b/lib"}, nil},
		"origin":          {"/opt/c/lib", []string{"-Wl,-rpath,$ORIGIN/../lib"}, nil},
		"environment":     {"/opt/d/lib", nil, []string{"LD_LIBRARY_PATH=/nowhere:/opt/d/lib"}},
		"loader's cache":  {"/opt/e/lib", nil, nil},
		"default folders": {"/usr/lib", nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			root := filepath.Join(dir, "root")
			build := t.TempDir()
			compile(t, build, "libfire.so", library, "-shared", "-fPIC", "-Wl,-soname,libfire.so")
			binary := compile(t, build, "user", user, append(test.flags, "-L", build, "-lfire")...)
			if out, err := exec.Command("sh", "-c", fmt.Sprintf("mkdir -p %[1]s/opt/c/bin %[1]s%[2]s && cp %[3]s %[1]s/opt/c/bin/user && cp %[4]s/libfire.so %[1]s%[2]s/",
				root, test.folder, binary, build)).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			copyRoot(t, root)
			if name == "loader's cache" {
				write(t, filepath.Join(root, "etc/ld.so.cache"), loaderCache("/opt/e/lib/libfire.so"))
			}
			w := discover(t, Config{Rules: Rules{Enabled: true}, Interval: time.Hour}, root, test.folder)
			w.scan(t)
			cmd := exec.Command("/opt/c/bin/user")
			cmd.Env = test.env
			cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root}
			p := runHeld(t, cmd)
			w.inbox.addProgram(p)
			w.run(t)
			w.await(t, soon, "+"+filepath.Join(test.folder, "libfire.so"))
			if f := w.file(t, filepath.Join(test.folder, "libfire.so")); f.Key.Inode != inodeOf(t, filepath.Join(root, f.Path)) {
				t.Errorf("got %+v", f.Key)
			}
		})
	}
}

// runHeld executes a program, opens it as a holder does, and kills it before its dynamic loader has run.
func runHeld(t *testing.T, cmd *exec.Cmd) *program {
	t.Helper()
	cmd.SysProcAttr.Ptrace = true // stops the program before its first instruction
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p, err := hold(host.Process(cmd.Process.Pid), "/")
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if err != nil {
		t.Fatalf("hold the program: %v", err)
	}
	return p
}

// TestProgramOfASilentProcess checks that if a process ends while it is set aside, the program that it has executed is
// examined nevertheless, and then closed.
func TestProgramOfASilentProcess(t *testing.T) {
	t.Parallel()
	needs.Root(t)
	dir := t.TempDir()
	path := sample(t, "sample-static", dir, "program")
	w := discover(t, Config{Rules: Rules{Enabled: true}, Interval: time.Hour}, dir)
	cmd := exec.Command(path)
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	exe := runHeld(t, cmd)
	w.followUps.visit(notes{programs: []*program{exe}}, time.Now())
	p := w.search.processes.table[exe.pid]
	p.silence.until = time.Now().Add(time.Hour)
	for w.step() {
	}
	w.expect(t)
	if p.program != exe || w.search.held.count != 1 || p.owner.held != 1 {
		t.Fatalf("the process holds %v, of %d programs in all and %d of its owner", p.program, w.search.held.count, p.owner.held)
	}
	w.search.processes.drop(p)
	for w.step() {
	}
	w.expect(t, "+"+path)
	if w.search.held.count != 0 || p.owner.held != 0 || w.Stats().MissedPrograms != 0 {
		t.Errorf("%d programs are held, %d of the owner, %d missed", w.search.held.count, p.owner.held, w.Stats().MissedPrograms)
	}
}

// TestExecutedProgramsOfOthersAreHeldBesideAFlood checks that if one owner executes programs faster than they are
// examined, programs of other owners are still held, and that programs that end without being held are counted.
func TestExecutedProgramsOfOthersAreHeldBesideAFlood(t *testing.T) {
	t.Parallel()
	w := discover(t, Config{Rules: Rules{Enabled: true}, Interval: time.Hour})
	s := w.search
	next := host.Process(1 << 22) // no process has an id as high as this
	execute := func(of *owner) (p *process) {
		t.Helper()
		next++
		exe := &program{pid: next}
		for _, fd := range []*int{&exe.file, &exe.root} {
			var err error
			if *fd, err = unix.Open(os.DevNull, unix.O_PATH, 0); err != nil {
				t.Fatal(err)
			}
		}
		p = s.processes.add(next, "/")
		p.owner.processes--
		of.processes++
		p.owner = of
		w.followUps.visit(notes{programs: []*program{exe}}, time.Now())
		return p
	}
	greedy, modest := &owner{name: "greedy", spent: time.Hour}, &owner{name: "modest", spent: time.Hour}
	kept := 0
	var last *process
	for range 3 * s.held.most {
		if last = execute(greedy); last.program != nil {
			kept++
		}
	}
	if kept != s.held.most/2 || last.program != nil {
		t.Errorf("the greedy owner has %d programs held of %d", kept, s.held.most)
	}
	if p := execute(modest); p.program == nil {
		t.Error("nothing is left for the modest owner")
	}
	s.processes.drop(last)
	if n := w.Stats().MissedPrograms; n != 1 {
		t.Errorf("%d programs were missed, want 1", n)
	}
}

// TestProgramsThatEndTooEarlyAreCounted checks the count of programs that ended before they could be examined.
func TestProgramsThatEndTooEarlyAreCounted(t *testing.T) {
	t.Parallel()
	monitor := limits.New(limits.Config{})
	w := discover(t, Config{Limits: monitor, Rules: Rules{Enabled: true}})
	named := discover(t, Config{}) // does not search for files, so it counts no missed programs
	cmd := exec.Command("true")
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	executed := Executed{Process: host.Process(cmd.Process.Pid), User: 33}
	named.Notify(executed)
	w.Notify(executed)
	for deadline := time.Now().Add(soon); w.Stats().MissedPrograms != 1; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("got %+v", w.Stats())
		}
	}
	monitor.Each(func(limit limits.Limit, class limits.Class, n uint64) {
		if limit != limits.Unseen || class != limits.ClassSystem || n != 1 {
			t.Errorf("%s cost class %s %d", limit, class, n)
		}
	})
	if missed := named.Stats().MissedPrograms; missed != 0 {
		t.Errorf("%d programs missed, but none is looked for", missed)
	}
}
