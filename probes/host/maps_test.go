// SPDX-License-Identifier: Apache-2.0

package host

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestParseMapping(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{ // want: "major:minor inode addresses path"
		"00400000-00452000 r-xp 00000000 08:02 173521      /usr/bin/dbus-daemon":                            "8:2 173521 400000-452000 /usr/bin/dbus-daemon",
		"7f2c-7f2d --xs 00000000 103:1f 1 /a":                                                               "259:31 1 7f2c-7f2d /a",
		"7f5e2c000000-7f5e2c021000 r-xp 00001000 fe:00 18446744073709551615                 /a b (deleted)": "254:0 18446744073709551615 7f5e2c000000-7f5e2c021000 /a b (deleted)",
		"7f5e2c000000-7f5e2c021000 rw-p 00000000 08:02 173521 /usr/bin/data":                                "",
		"7f5e2c000000-7f5e2c021000 r-xp 00000000 00:00 0 ":                                                  "",
		"7ffd7a5f2000-7ffd7a5f4000 r-xp 00000000 00:00 0                          [vdso]":                   "",
		"ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]":               "",
		"7f5e2c000000-7f5e2c021000 r-xp 00000000 00:0f 77 anon_inode:[perf_event]":                          "",
		"7f5e2c000000 r-xp 00000000 08:02 173521 /a":                                                        "",
		"7f5e2c000000-7f5e2c021000 r-xp 00000000 0802 173521 /a":                                            "",
		"7f5e2c000000-7f5e2c021000 r-xp 00000000 08:02 17352a /a":                                           "",
		"7f5e2c000000-7f5e2c021000 r-xp 00000000 08:02 173521":                                              "",
		"": "",
	} {
		m, ok := new(MapsReader).parse([]byte(line))
		got := ""
		if ok {
			got = strings.Join([]string{
				utoa(uint64(unix.Major(m.ID.Device))) + ":" + utoa(uint64(unix.Minor(m.ID.Device))), utoa(m.ID.Inode),
				strings.TrimPrefix(m.Link(1), "/proc/1/map_files/"), string(m.path),
			}, " ")
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", line, got, want)
		}
	}
}

func utoa(n uint64) string { return strconv.FormatUint(n, 10) }

func FuzzParseMapping(f *testing.F) {
	f.Add([]byte("00400000-00452000 r-xp 00000000 08:02 173521      /usr/bin/dbus-daemon"))
	f.Fuzz(func(t *testing.T, line []byte) {
		m, ok := new(MapsReader).parse(line)
		if ok && (m.ID.Inode == 0 || !bytes.HasPrefix(m.path, []byte("/")) || len(m.Link(1)) > len(line)+32) {
			t.Errorf("got %+v", m)
		}
	})
}

// TestCopiesOfCodeAreFoundInMaps reads maps files. A mapping is Copied only if executable anonymous memory is between
// two mappings of one file.
func TestCopiesOfCodeAreFoundInMaps(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"1000-2000 r--p 0 08:02 7 /a\n2000-3000 r-xp 0 00:00 0 \n3000-4000 r--p 0 08:02 7 /a\n":                         true,
		"1000-2000 r-xp 0 08:02 7 /a\n2000-3000 r-xp 0 00:00 0 \n3000-4000 r-xp 0 08:02 7 /a\n":                         true,
		"1000-2000 r--p 0 08:02 7 /a\n2000-3000 r-xp 0 00:0e 9 /anon_hugepage (deleted)\n3000-4000 r--p 0 08:02 7 /a\n": true,
		"1000-2000 r-xp 0 08:02 7 /a\n2000-3000 rw-p 0 00:00 0 \n3000-4000 r--p 0 08:02 7 /a\n":                         false,
		"1000-2000 r-xp 0 08:02 7 /a\n2000-3000 r-xp 0 00:00 0 \n3000-4000 r-xp 0 08:02 8 /b\n":                         false,
		"1000-2000 r-xp 0 08:02 7 /a\n2000-3000 r-xp 0 00:00 0 [vdso]\n3000-4000 r-xp 0 08:02 7 /a\n":                   false,
		"1000-2000 r-xp 0 08:02 7 /a\n2000-3000 r-xp 0 00:00 0 \n":                                                      false,
	} {
		path := filepath.Join(t.TempDir(), "maps")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		copied := false
		if err := new(MapsReader).Read(path, func(m *Mapping) { copied = copied || m.Copied }); err != nil {
			t.Fatal(err)
		}
		if copied != want {
			t.Errorf("%q: got %t", text, copied)
		}
	}
}

func TestParseUint(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]uint64{"0": 0, "00": 0, "9": 9, "18446744073709551615": 1<<64 - 1} {
		if got, ok := ParseUint([]byte(text), 10); got != want || !ok {
			t.Errorf("%q: got %d, %t", text, got, ok)
		}
	}
	for _, text := range []string{"", "-1", "a", "1 ", "18446744073709551616", "99999999999999999999", "111111111111111111111"} {
		if got, ok := ParseUint([]byte(text), 10); ok {
			t.Errorf("%q: got %d", text, got)
		}
	}
}

// TestReadMaps reads a maps file that is longer than the buffer, and includes the longest possible line.
func TestReadMaps(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "maps")
	var text strings.Builder
	long := "/" + strings.Repeat("x", unix.PathMax-2)
	for i := range 10000 {
		text.WriteString("00400000-00452000 r-xp 00000000 08:02 " + utoa(uint64(i+1)) + "   ")
		if i%100 == 0 {
			text.WriteString(long)
		} else {
			text.WriteString("/short")
		}
		text.WriteString("\n00400000-00452000 rw-p 00000000 00:00 0 [heap]\n")
	}
	if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	var r MapsReader
	for range 2 {
		next, longest := uint64(1), 0
		if err := r.Read(path, func(m *Mapping) {
			if m.ID.Inode != next {
				t.Fatalf("got %d, want %d", m.ID.Inode, next)
			}
			next++
			longest = max(longest, len(m.path))
		}); err != nil {
			t.Fatal(err)
		}
		if next != 10001 || longest != len(long) {
			t.Errorf("%d mappings, the longest path has %d bytes", next-1, longest)
		}
	}
	if err := r.Read(path+"?", nil); err == nil {
		t.Error("a file that is not there was read")
	}
}

func TestParseMount(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]mount{
		`36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue`: {36, unix.Mkdev(98, 0), "/mnt2", "ext3", "/dev/root", "rw,errors=continue"},
		`36 35 0:300 / /a\040b\134 rw - fuse.sshfs me@there:/ rw`:                        {36, unix.Mkdev(0, 300), `/a b\`, "fuse.sshfs", "me@there:/", "rw"},
		`36 35 0:3 / /mnt2 rw shared:1 master:2 propagate_from:3 - tmpfs none rw`:        {36, unix.Mkdev(0, 3), "/mnt2", "tmpfs", "none", "rw"},
		`36 35 0:3 / /mnt2 rw shared:1`:                                                  {},
		`36 35 03 / /mnt2 rw - tmpfs none rw`:                                            {},
		``:                                                                               {},
	} {
		if got, ok := parseMount(line); got != want || ok != (want != mount{}) {
			t.Errorf("%s: got %+v, %t", line, got, ok)
		}
	}
}
