// SPDX-License-Identifier: Apache-2.0

package host

import (
	"bytes"
	"errors"
	"math"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// maxMaps bounds how much of one process's maps is read, in bytes. A process has at most 65530 mappings unless the
// host's administrator allows more.
const maxMaps = 32 << 20

// MapID identifies a mapped file by the numbers in /proc/PID/maps. They can differ from those of stat: on btrfs the
// device differs, and on an overlay both numbers depend on the kernel.
type MapID struct {
	Device uint64 // in the format of unix.Mkdev
	Inode  uint64
}

// Compare orders identifiers by inode, then by device. It returns -1, 0 or 1.
func (m MapID) Compare(o MapID) int {
	switch {
	case m.Inode < o.Inode || m.Inode == o.Inode && m.Device < o.Device:
		return -1
	case m == o:
		return 0
	}
	return 1
}

// Mapping is a mapping of a file that is executable or Copied. Its slices are valid only until the call of visit that
// received it returns.
type Mapping struct {
	ID MapID

	// Copied is set if the process has executable anonymous memory between the previous mapping of the same file and this
	// mapping, which need not be executable. The process has then replaced the file's code with a copy, for example to use
	// large pages.
	Copied bool

	path []byte // as written in maps

	start, end []byte // addresses in hexadecimal, as map_files names them
}

// Path returns the path of the mapped file as the kernel shows it.
func (m *Mapping) Path() string {
	path, _ := plainPath(string(m.path))
	return path
}

// Link returns the path in /proc that leads to the mapped file. p is a process or thread that has the mapping.
func (m *Mapping) Link(p Process) string {
	link := make([]byte, 0, 64)
	link = append(link, "/proc/"...)
	link = strconv.AppendUint(link, uint64(p), 10)
	link = append(link, "/map_files/"...)
	link = append(link, m.start...)
	link = append(link, '-')
	return string(append(link, m.end...))
}

// Mapped says where a mapped file can be found.
type Mapped struct {
	ID   MapID  // identifier that the file must have; zero if any file at Path is meant
	Path string // as the kernel shows it
	Link string // path in /proc/PID/map_files; "" if the file can only be found by Path
}

// Find returns an O_PATH descriptor of the file. It uses Link or, without Link or the permission to use it, Path below
// the root folder of the process. It does not open the file for reading.
func (m Mapped) Find(root Root) (int, error) {
	if m.Link != "" {
		fd, err := Open(m.Link, unix.O_PATH)
		if err == nil || !errors.Is(err, os.ErrPermission) {
			return fd, err
		}
	}
	fd, err := root.Find(m.Path)
	if err != nil || m.ID.Inode == 0 {
		return fd, err
	}
	// The devices are not compared, because maps and stat can disagree about them.
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		unix.Close(fd)
		return -1, err
	}
	if st.Ino != m.ID.Inode {
		unix.Close(fd)
		return -1, ErrOtherFile
	}
	return fd, nil
}

// MapsReader reads /proc/PID/maps. It reuses its buffer for each call of Read, so it is not safe for concurrent use.
type MapsReader struct {
	data []byte
	last []byte // device and inode of the last mapping of a file, as written in maps
	copy bool   // executable anonymous memory was seen after the last mapping of a file: see Mapping.Copied
}

// Read calls visit for each mapping in a maps file that is executable and has a file, or that is Copied. visit can
// receive several mappings of one file. Read blocks while the process keeps its memory map locked.
func (r *MapsReader) Read(path string, visit func(*Mapping)) error {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if r.data == nil {
		r.data = make([]byte, 64<<10)
	}
	r.last, r.copy = r.last[:0], false
	rest := 0 // bytes of an incomplete line, at the start of data
	for total := 0; total < maxMaps; {
		n, err := ignoringEINTR(func() (int, error) { return unix.Read(fd, r.data[rest:]) })
		if err != nil {
			return err
		}
		if n == 0 {
			return nil
		}
		total += n
		data := r.data[:rest+n]
		for {
			end := bytes.IndexByte(data, '\n')
			if end < 0 {
				break
			}
			if m, ok := r.parse(data[:end]); ok {
				visit(&m)
			}
			data = data[end+1:]
		}
		rest = copy(r.data, data)
		if rest == len(r.data) { // cannot happen, because a path has at most 4095 bytes
			rest = 0
		}
	}
	return nil
}

// parse parses the next line of maps. ok is false for a line that Read must not visit.
func (r *MapsReader) parse(line []byte) (m Mapping, ok bool) {
	addresses, line, _ := bytes.Cut(line, []byte{' '})
	permissions, line, _ := bytes.Cut(line, []byte{' '})
	if len(permissions) < 4 {
		return m, false
	}
	_, line, _ = bytes.Cut(line, []byte{' '}) // skips the offset
	isExecutable, file := permissions[2] == 'x', line
	device, line, _ := bytes.Cut(line, []byte{' '})
	number, line, _ := bytes.Cut(line, []byte{' '})
	file = file[:min(len(device)+1+len(number), len(file))]
	m.path = bytes.TrimLeft(line, " ")
	if len(m.path) == 0 || m.path[0] != '/' || isAnonymous(m.path) {
		r.copy = r.copy || isExecutable && (len(m.path) == 0 || m.path[0] == '/' || bytes.HasPrefix(m.path, []byte("[anon")))
		return m, false
	}
	m.Copied = r.copy && bytes.Equal(file, r.last)
	r.last, r.copy = append(r.last[:0], file...), false
	if !isExecutable && !m.Copied {
		return m, false
	}
	if m.ID.Inode, ok = ParseUint(number, 10); !ok || m.ID.Inode == 0 {
		return m, false
	}
	major, minor, _ := bytes.Cut(device, []byte{':'})
	high, ok1 := ParseUint(major, 16)
	low, ok2 := ParseUint(minor, 16)
	m.ID.Device = unix.Mkdev(uint32(high), uint32(low))
	start, end, ok3 := bytes.Cut(addresses, []byte{'-'})
	// The names in map_files contain the same addresses without leading zeros.
	m.start, m.end = bytes.TrimLeft(start, "0"), bytes.TrimLeft(end, "0")
	return m, ok1 && ok2 && ok3
}

// isAnonymous reports whether a path in maps is not that of a file, but a name for anonymous memory: large pages
// (MAP_HUGETLB) or shared memory.
func isAnonymous(path []byte) bool {
	return bytes.HasPrefix(path, []byte("/anon_hugepage")) || bytes.HasPrefix(path, []byte("/dev/zero (deleted)"))
}

// ParseUint is strconv.ParseUint for bytes, in bases up to 16 with lower-case digits.
func ParseUint(digits []byte, base uint64) (value uint64, ok bool) {
	if len(digits) == 0 {
		return 0, false
	}
	for _, c := range digits {
		var digit uint64
		switch {
		case '0' <= c && c <= '9':
			digit = uint64(c - '0')
		case 'a' <= c && c <= 'f':
			digit = uint64(c-'a') + 10
		default:
			return 0, false
		}
		if digit >= base || value > (math.MaxUint64-digit)/base {
			return 0, false
		}
		value = value*base + digit
	}
	return value, true
}

// deletedSuffix is what the kernel appends to the path of a deleted file.
const deletedSuffix = " (deleted)"

// plainPath reverses the changes that the kernel makes to paths in maps and in links of /proc: it escapes line feeds
// and marks deleted files.
func plainPath(path string) (plain string, deleted bool) {
	path, deleted = strings.CutSuffix(path, deletedSuffix)
	return strings.ReplaceAll(path, `\012`, "\n"), deleted
}
