// SPDX-License-Identifier: Apache-2.0

//go:build chaos

package chaos

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/crau-otel/crau-otel/test/harness"
)

// kinds are the kinds of guests.
var kinds = []kind{
	{name: "short-lived", visit: shortLived, pause: 500 * time.Millisecond},
	{name: "forks", visit: forks, pause: time.Second},
	{name: "replaced", visit: replaced, pause: time.Second},
	{name: "overwritten", visit: overwritten, pause: time.Second, overwrites: true},
	{name: "dlopen", visit: dlopen, pause: time.Second},
	{name: "cgroup", visit: cgroup, pause: 500 * time.Millisecond},
	{name: "namespace", visit: namespace, pause: 500 * time.Millisecond},
	{name: "fuse-hang", visit: fuseHang, pause: 2 * time.Second},
	{name: "mmap-lock", visit: mmapLock, pause: 2 * time.Second},
	{name: "connections", visit: connections, pause: time.Second},
	{name: "hostile", visit: hostile, pause: 2 * time.Second},
}

// shortLived runs new programs that end soon, several at a time.
func shortLived(v *visit) error {
	sample := v.static
	if v.random.IntN(2) == 0 {
		sample = v.sample
	}
	path := filepath.Join(v.dir, "short")
	if err := harness.CopyFile(sample, path); err != nil {
		return err
	}
	n := 1 + v.random.IntN(6)
	script := fmt.Sprintf(`for i in $(seq %d); do "$0" --count 1 --rate 0 & pids="$pids $!"; done; for p in $pids; do wait $p || exit 1; done`, n)
	out, err := v.run("/bin/sh", "-c", script, path)
	if got := strings.Count(out, "fired "); err == nil && got != n {
		err = fmt.Errorf("%d of %d programs ended well:\n%s", got, n, out)
	}
	return err
}

// replaced replaces an executable file repeatedly, while programs run the old file.
func replaced(v *visit) error {
	path, next := filepath.Join(v.dir, "replaced"), filepath.Join(v.dir, "next")
	if err := harness.CopyFile(v.sample, path); err != nil {
		return err
	}
	n := 2 + v.random.IntN(4)
	ended := make(chan error, n)
	for range n {
		go func() {
			_, err := v.run(path, "--count", "20", "--rate", "40")
			ended <- err
		}()
		time.Sleep(jitter(v.random, 150*time.Millisecond))
		if err := harness.CopyFile(v.sample, next); err != nil {
			return err
		}
		if err := os.Rename(next, path); err != nil {
			return err
		}
	}
	var err error
	for range n {
		if e := <-ended; e != nil {
			err = e
		}
	}
	return err
}

// forks runs a program that forks and fires its probes in the children.
func forks(v *visit) error {
	path := filepath.Join(v.dir, "forks")
	if err := harness.CopyFile(v.sample, path); err != nil {
		return err
	}
	_, err := v.run(path, "--forks", strconv.Itoa(2+v.random.IntN(8)), "--count", strconv.Itoa(20+v.random.IntN(40)), "--rate", "50")
	return err
}

// overwritten overwrites a library in place, as cp does, before each run of a program that uses it. Each run must print
// the same as an untraced run.
func overwritten(v *visit) error {
	program, library := filepath.Join(v.dir, "mixes"), filepath.Join(v.dir, "libmix.so")
	for from, to := range map[string]string{v.mixes: program, v.mixed[0].path: library} {
		if err := harness.CopyFile(from, to); err != nil {
			return err
		}
	}
	for range 2 + v.random.IntN(5) {
		version := v.mixed[v.random.IntN(len(v.mixed))]
		if err := harness.CopyFile(version.path, library); err != nil { // waits until the file is detached
			return err
		}
		out, err := v.run(program, "20")
		if err != nil {
			return err
		}
		if want := strings.Repeat(version.prints, 20); out != want {
			return fmt.Errorf("mixes prints\n%s, untraced it is\n%s", out, want)
		}
	}
	return nil
}

// dlopen runs a program that loads and unloads libraries repeatedly.
func dlopen(v *visit) error {
	args := []string{strconv.Itoa(20 + v.random.IntN(40))}
	for i := range 3 {
		library := filepath.Join(v.dir, fmt.Sprintf("lib%d.so", i))
		if err := harness.CopyFile(v.library, library); err != nil {
			return err
		}
		args = append(args, library)
	}
	_, err := v.run(v.reloads, args...)
	return err
}

// cgroup runs a program in a separate cgroup, which is removed afterwards.
func cgroup(v *visit) error {
	path := filepath.Join(v.dir, "in-cgroup")
	if err := harness.CopyFile(v.sample, path); err != nil {
		return err
	}
	folder, remove, err := harness.MakeCgroup(fmt.Sprintf("/crau-chaos-%d/guest-%d.scope", os.Getpid(), v.random.Uint32()))
	defer remove()
	if err != nil {
		return err
	}
	file, err := os.Open(folder)
	if err != nil {
		return err
	}
	defer file.Close()
	cmd := exec.Command(path, "--count", strconv.Itoa(1+v.random.IntN(20)), "--rate", "40")
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(file.Fd())}
	_, err = v.finish(cmd)
	return err
}

// namespace runs a program from a file system that exists only in a separate mount namespace. Half of the time, the
// program runs through an overlay.
func namespace(v *visit) error {
	script := `set -e; mount -t tmpfs none "$1"; cp "$0" "$1/inside"; exec "$1/inside" --count "$2" --rate 40`
	if v.random.IntN(2) == 0 {
		script = `set -e; mount -t tmpfs none "$1"; cd "$1"; mkdir lower upper work merged; cp "$0" lower/inside
			mount -t overlay -o lowerdir=lower,upperdir=upper,workdir=work none merged; exec merged/inside --count "$2" --rate 40`
	}
	cmd := exec.Command("/bin/sh", "-c", script, v.sample, v.dir, strconv.Itoa(1+v.random.IntN(40)))
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	_, err := v.finish(cmd)
	return err
}

// fuseHang runs a program that hits a probe whose data is in a file of a FUSE file system. The FUSE server does not
// deliver the data until the server, or the server and the program, are killed.
func fuseHang(v *visit) error { return v.fuse() }

// mmapLock runs a program whose memory map stays locked, because one of its threads waits in a page fault for a FUSE
// server, until the server, or the server and the program, are killed. If only the server is killed, the page fault
// ends with SIGBUS.
func mmapLock(v *visit) error { return v.fuse("lock") }

func (v *visit) fuse(args ...string) error {
	path := filepath.Join(v.dir, "fuse")
	if err := harness.CopyFile(v.hang, path); err != nil {
		return err
	}
	mount := filepath.Join(v.dir, "mount")
	if err := os.Mkdir(mount, 0o755); err != nil {
		return err
	}
	cmd := exec.Command(path, append([]string{mount, strconv.Itoa(1 + v.random.IntN(4))}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	_, err := v.finish(cmd, ending{after: time.Second + time.Duration(v.random.IntN(5000))*time.Millisecond, by: syscall.SIGBUS})
	return err
}

// hostile runs an attack of test/adversary, as the user nobody, until it is killed.
func hostile(v *visit) error {
	modes := []string{"nonsense", "keys", "forks"}
	path := filepath.Join(v.dir, "hostile")
	if err := harness.CopyFile(v.attack, path); err != nil {
		return err
	}
	cmd := exec.Command(path, modes[v.random.IntN(len(modes))])
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	_, err := v.finish(cmd, ending{after: time.Second + time.Duration(v.random.IntN(1000))*time.Millisecond})
	return err
}
