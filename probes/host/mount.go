// SPDX-License-Identifier: Apache-2.0

package host

import (
	"bufio"
	"os"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// ownMounts is the mount table of this process.
const ownMounts = "/proc/self/mountinfo"

// mount is a mount, described by a line of mountinfo.
type mount struct {
	id           uint64
	device       uint64
	point        string // path of the mount point
	kind, source string // type of the file system, and what is mounted
	options      string // options of the file system
}

// eachMount calls visit for every mount in a mountinfo file, until visit returns false.
func eachMount(file string, visit func(mount) bool) error {
	table, err := os.Open(file)
	if err != nil {
		return err
	}
	defer table.Close()
	lines := bufio.NewScanner(table)
	lines.Buffer(nil, 1<<20) // the lines of overlays are long
	for lines.Scan() {
		if m, ok := parseMount(lines.Text()); ok && !visit(m) {
			return nil
		}
	}
	return lines.Err()
}

// parseMount parses a line of /proc/PID/mountinfo, see proc(5).
func parseMount(line string) (m mount, ok bool) {
	fields := strings.Fields(line)
	for i, f := range fields {
		if f != "-" || i < 6 || len(fields) < i+3 {
			continue
		}
		major, minor, _ := strings.Cut(fields[2], ":")
		id, err := strconv.ParseUint(fields[0], 10, 64)
		high, err1 := strconv.ParseUint(major, 10, 32)
		low, err2 := strconv.ParseUint(minor, 10, 32)
		if err != nil || err1 != nil || err2 != nil {
			break
		}
		options := ""
		if len(fields) > i+3 {
			options = fields[i+3]
		}
		return mount{
			id: id, device: unix.Mkdev(uint32(high), uint32(low)), point: unescape(fields[4]),
			kind: fields[i+1], source: unescape(fields[i+2]), options: options,
		}, true
	}
	return m, false
}

// unescape replaces the octal escapes of mountinfo, which stand for space, tab, line feed and backslash.
func unescape(text string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(text)
}

// isFUSE reports whether a user-space program serves the file system. A thread that waits for such a program cannot
// even be killed.
func (m mount) isFUSE() bool {
	return m.kind == "fuse" || m.kind == "fuseblk" || strings.HasPrefix(m.kind, "fuse.")
}

// MountKinds remembers which devices belong to FUSE. The kernel reuses device numbers, so a MountKinds must only be
// used for a short time. It is safe for concurrent use.
type MountKinds struct {
	mu   sync.Mutex
	fuse map[uint64]bool
}

// NewMountKinds returns an empty MountKinds.
func NewMountKinds() *MountKinds { return &MountKinds{fuse: make(map[uint64]bool)} }

// IsFUSE reports whether an open file is on FUSE, without asking the file system. It looks for the mount of the file in
// the mount tables of viewer (unless viewer is 0) and of this process, and returns false if neither lists it.
func (k *MountKinds) IsFUSE(fd int, viewer Process) bool {
	var st unix.Statx_t
	if err := unix.Statx(fd, "", unix.AT_EMPTY_PATH|unix.AT_STATX_DONT_SYNC, unix.STATX_MNT_ID, &st); err != nil {
		return false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	device := unix.Mkdev(st.Dev_major, st.Dev_minor)
	fuse, known := k.fuse[device]
	if known {
		return fuse
	}
	tables := []string{ownMounts}
	if viewer != 0 {
		tables = []string{viewer.Path("mountinfo"), ownMounts}
	}
	for _, table := range tables {
		_ = eachMount(table, func(m mount) bool {
			known = m.id == st.Mnt_id
			fuse = known && m.isFUSE()
			return !known
		})
		if known {
			break
		}
	}
	k.fuse[device] = fuse
	return fuse
}
