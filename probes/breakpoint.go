// SPDX-License-Identifier: Apache-2.0

package probes

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// breakpointBytes is the number of bytes that are compared at a site. A breakpoint changes the first byte on x86-64 and
// all four on arm64.
const breakpointBytes = 4

// CountBreakpoints returns the number of sites that have a breakpoint in a new mapping of the file. The kernel inserts
// the breakpoints of all tracers into every mapping of the file's inode. So a count above 0 shows that a tracer has
// attached to the file, even by another path. Breakpoints that a tracer has limited to certain processes are not
// counted.
func CountBreakpoints(file *os.File, sites []Site) (n int, err error) {
	page := int64(os.Getpagesize())
	var mapping []byte
	start := int64(-1)
	defer func() { unmap(mapping) }()
	for _, s := range sites {
		found := false
		for _, offset := range s.Offsets() {
			at := int64(offset)
			if first := at / page * page; first != start {
				unmap(mapping)
				start = first
				// Two pages are mapped, because the bytes of a site can extend into the second page.
				mapping, err = unix.Mmap(int(file.Fd()), start, int(2*page), unix.PROT_READ, unix.MAP_PRIVATE)
				if err != nil {
					return n, fmt.Errorf("map file: %w", err)
				}
			}
			differs, err := differs(file, mapping[at-start:][:breakpointBytes], at)
			if err != nil {
				return n, err
			}
			found = found || differs
		}
		if found {
			n++
		}
	}
	return n, nil
}

func unmap(mapping []byte) {
	if mapping != nil {
		_ = unix.Munmap(mapping)
	}
}

// differs reports whether mapped memory differs from the content of its file. It does not access the memory directly,
// because this would fault if the file has become shorter than its mapping.
func differs(file *os.File, mapped []byte, offset int64) (bool, error) {
	var content, memory [breakpointBytes]byte
	if n, err := file.ReadAt(content[:], offset); err != nil && !errors.Is(err, io.EOF) {
		return false, fmt.Errorf("read file: %w", err)
	} else if n == 0 {
		return false, nil
	}
	n, err := readOwn(memory[:], mapped)
	if err != nil {
		return false, nil //nolint:nilerr // beyond the end of the file
	}
	return !bytes.Equal(content[:n], memory[:n]), nil
}

// readOwn copies memory of this process with process_vm_readv(2), which returns an error where a direct access would
// fault.
func readOwn(to, from []byte) (int, error) {
	local := []unix.Iovec{{Base: &to[0]}}
	local[0].SetLen(len(to))
	remote := []unix.RemoteIovec{{Base: uintptr(unsafe.Pointer(&from[0])), Len: len(from)}} //nolint:gosec // an address
	return unix.ProcessVMReadv(os.Getpid(), local, remote, 0)
}
