// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"bytes"
	"math"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// maxMaps is how much of one process's maps is read, in bytes; a process has
// at most 65530 mappings unless the host's administrator allows more.
const maxMaps = 32 << 20

// mapID is what /proc/PID/maps says of a mapped file. It is not what stat says
// of it: on btrfs the device is another one, and on an overlay it depends on
// the kernel.
type mapID struct {
	device uint64 // as unix.Mkdev makes it
	inode  uint64
}

func (m mapID) compare(o mapID) int {
	switch {
	case m.inode < o.inode || m.inode == o.inode && m.device < o.device:
		return -1
	case m == o:
		return 0
	}
	return 1
}

// mapping is an executable mapping of a file.
type mapping struct {
	id    mapID
	start []byte // address in hexadecimal, as map_files wants it
	end   []byte
	path  []byte // as maps writes it
}

// mapsReader reads /proc/PID/maps. Its buffer is used again and again.
type mapsReader struct{ data []byte }

// read returns the executable mappings of files, through visit. What is passed
// is only good until visit returns.
func (r *mapsReader) read(path string, visit func(mapping)) error {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if r.data == nil {
		r.data = make([]byte, 64<<10)
	}
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
			if m, ok := parseMapping(data[:end]); ok {
				visit(m)
			}
			data = data[end+1:]
		}
		rest = copy(r.data, data)
		if rest == len(r.data) { // no line is as long: a path has at most 4095 bytes
			rest = 0
		}
	}
	return nil
}

// parseMapping parses a line of maps. It refuses those that are no executable
// mappings of files.
func parseMapping(line []byte) (m mapping, ok bool) {
	addresses, line, _ := bytes.Cut(line, []byte{' '})
	permissions, line, _ := bytes.Cut(line, []byte{' '})
	if len(permissions) < 4 || permissions[2] != 'x' {
		return m, false
	}
	_, line, _ = bytes.Cut(line, []byte{' '}) // offset
	device, line, _ := bytes.Cut(line, []byte{' '})
	number, line, _ := bytes.Cut(line, []byte{' '})
	if m.id.inode, ok = parseUint(number, 10); !ok || m.id.inode == 0 {
		return m, false
	}
	major, minor, _ := bytes.Cut(device, []byte{':'})
	high, ok1 := parseUint(major, 16)
	low, ok2 := parseUint(minor, 16)
	m.id.device = unix.Mkdev(uint32(high), uint32(low))
	start, end, ok3 := bytes.Cut(addresses, []byte{'-'})
	// map_files has the same numbers without the zeros in front.
	m.start, m.end = bytes.TrimLeft(start, "0"), bytes.TrimLeft(end, "0")
	m.path = bytes.TrimLeft(line, " ")
	return m, ok1 && ok2 && ok3 && len(m.path) > 0 && m.path[0] == '/'
}

// parseUint is strconv.ParseUint without the copy.
func parseUint(digits []byte, base uint64) (value uint64, ok bool) {
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

// plainPath undoes what maps and links in /proc make of a path: line feeds are
// escaped, and files that are gone from their folders are marked.
func plainPath(path string) (plain string, deleted bool) {
	path, deleted = strings.CutSuffix(path, " (deleted)")
	return strings.ReplaceAll(path, `\012`, "\n"), deleted
}

// link returns the path in /proc that leads to the mapped file.
func (m mapping) link(task uint32) string {
	link := make([]byte, 0, 64)
	link = append(link, "/proc/"...)
	link = strconv.AppendUint(link, uint64(task), 10)
	link = append(link, "/map_files/"...)
	link = append(link, m.start...)
	link = append(link, '-')
	return string(append(link, m.end...))
}

// ignoringEINTR repeats a system call that a signal has interrupted.
func ignoringEINTR(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if err != unix.EINTR { //nolint:errorlint // unix returns the plain number
			return n, err
		}
	}
}
