// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"bufio"
	"os"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// mount is a line of mountinfo.
type mount struct {
	id           uint64
	device       uint64
	point        string
	kind, source string
}

// eachMount calls visit for every mount that a process sees, until visit
// returns false.
func eachMount(file string, visit func(mount) bool) error {
	table, err := os.Open(file)
	if err != nil {
		return err
	}
	defer table.Close()
	lines := bufio.NewScanner(table)
	lines.Buffer(nil, 1<<20) // those of overlays are long
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
		return mount{
			id: id, device: unix.Mkdev(uint32(high), uint32(low)), point: unescape(fields[4]),
			kind: fields[i+1], source: unescape(fields[i+2]),
		}, true
	}
	return m, false
}

// unescape undoes the octal escapes of mountinfo: space, tab, line feed, \.
func unescape(text string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(text)
}

// isFuse says whether the file system is a program. Whoever waits for such a
// program when it does not answer cannot even be killed.
func (m mount) isFuse() bool {
	return m.kind == "fuse" || m.kind == "fuseblk" || strings.HasPrefix(m.kind, "fuse.")
}

// mountKinds remembers which devices are FUSE's. As the numbers of devices are
// used again, it is good for a moment only.
type mountKinds struct {
	mu   sync.Mutex
	fuse map[uint64]bool
}

func newMountKinds() *mountKinds { return &mountKinds{fuse: make(map[uint64]bool)} }

// isFuse says whether an open file is on FUSE, without asking it. Where that
// cannot be told, it is not.
func (k *mountKinds) isFuse(fd int, task uint32) bool {
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
	files := []string{"/proc/self/mountinfo"}
	if task != 0 {
		files = append([]string{procPath(task, "mountinfo")}, files...)
	}
	for _, file := range files {
		_ = eachMount(file, func(m mount) bool {
			known = m.id == st.Mnt_id
			fuse = known && m.isFuse()
			return !known
		})
		if known {
			break
		}
	}
	k.fuse[device] = fuse
	return fuse
}
