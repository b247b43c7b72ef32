// SPDX-License-Identifier: Apache-2.0

package host

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestFindBeneathIsOpenat2 compares the results of FindBeneath with those of openat2(2), which resolves paths below a
// root folder in the kernel.
func TestFindBeneathIsOpenat2(t *testing.T) {
	t.Parallel()
	outer := t.TempDir()
	root := filepath.Join(outer, "root")
	for _, folder := range []string{"root/usr/lib/deep", "root/opt", "lib"} {
		if err := os.MkdirAll(filepath.Join(outer, folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range []string{"root/usr/lib/a.so", "root/usr/lib/deep/b.so", "secret", "lib/a.so"} {
		if err := os.WriteFile(filepath.Join(outer, file), []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	links := map[string]string{
		"lib": "usr/lib", "lib64": "/usr/lib", "up": "../../..", "escape": "../secret", "absolute": outer + "/secret",
		"usr/lib/c.so": "deep/../a.so", "loop": "loop", "ping": "pong", "pong": "ping", "opt/lib": "../lib64/deep",
		"hanging": "nowhere", "chain0": "lib",
	}
	for i := range 45 {
		links[fmt.Sprintf("chain%d", i+1)] = fmt.Sprintf("chain%d", i)
	}
	for from, to := range links {
		if err := os.Symlink(to, filepath.Join(root, from)); err != nil {
			t.Fatal(err)
		}
	}
	dir, err := unix.Open(root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(dir)
	for _, path := range []string{
		"/", "", ".", "..", "/usr/lib/a.so", "usr/lib/a.so", "lib/a.so", "/lib64/c.so", "/../../usr/lib/a.so", "up/usr/lib/a.so",
		"escape", "/absolute", "loop", "ping/x", "opt/lib/b.so", "opt/lib/../c.so", "/opt/lib/../../../../lib/a.so", "hanging",
		"usr/lib/a.so/x", "usr//lib/./deep/b.so", "lib", "no", "no/..", "usr/lib/a.so/..", "chain30/a.so", "chain45/a.so",
		strings.Repeat("usr/../", 20) + "lib/a.so",
	} {
		want, wantErr := unix.Openat2(dir, path, &unix.OpenHow{
			Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
		})
		if path == "" {
			want, wantErr = unix.Openat(dir, ".", unix.O_PATH|unix.O_CLOEXEC, 0)
		}
		got, err := FindBeneath(dir, path)
		if !errors.Is(err, wantErr) {
			t.Errorf("%.40q: got %v, the kernel has %v", path, err, wantErr)
		}
		if err != nil || wantErr != nil {
			continue
		}
		var a, b unix.Stat_t
		if err := errors.Join(unix.Fstat(got, &a), unix.Fstat(want, &b)); err != nil {
			t.Fatal(err)
		}
		if a.Ino != b.Ino || a.Dev != b.Dev {
			t.Errorf("%.40q: leads to another file than with the kernel", path)
		}
		unix.Close(got)
		unix.Close(want)
	}
}

func TestFindBeneathLeavesNothingOpenAndFollowsNoLinkOfProc(t *testing.T) {
	before := openDescriptors(t)
	dir, err := unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]error{
		"/proc/self/root/etc": unix.ELOOP, "/proc/1/exe": unix.ELOOP, "/etc/../etc/no": unix.ENOENT, "/etc/passwd": nil,
		strings.Repeat("etc/../", 41): unix.ELOOP,
	} {
		fd, err := FindBeneath(dir, path)
		if !errors.Is(err, want) {
			t.Errorf("%.40q: got %v, want %v", path, err, want)
		}
		if err == nil {
			unix.Close(fd)
		}
	}
	unix.Close(dir)
	if after := openDescriptors(t); after != before {
		t.Errorf("%d descriptors are open, %d were", after, before)
	}
}

// openDescriptors returns how many descriptors this process has open.
func openDescriptors(t *testing.T) int {
	t.Helper()
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(names)
}
