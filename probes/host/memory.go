// SPDX-License-Identifier: Apache-2.0

package host

import (
	"bytes"

	"golang.org/x/sys/unix"
)

// Memory is the size of a process's whole memory and of its code, in pages, according to its statm file.
type Memory struct{ Total, Code uint64 }

// Memory reads the process's statm file. buffer is scratch memory. Memory does not block, because the kernel takes none
// of the process's locks to produce this file.
func (p Process) Memory(buffer []byte) (Memory, error) {
	fd, err := Open(p.Path("statm"), unix.O_RDONLY)
	if err != nil {
		return Memory{}, err
	}
	defer unix.Close(fd)
	return ReadMemory(fd, buffer)
}

// ReadMemory reads an open statm file. buffer is scratch memory. ReadMemory fails once the process has ended, even if
// its PID has been reused.
func ReadMemory(statm int, buffer []byte) (Memory, error) {
	n, err := ignoringEINTR(func() (int, error) { return unix.Pread(statm, buffer, 0) })
	if err != nil {
		return Memory{}, err
	}
	total, rest, _ := bytes.Cut(buffer[:n], []byte{' '})
	_, rest, _ = bytes.Cut(rest, []byte{' '}) // skips resident
	_, rest, _ = bytes.Cut(rest, []byte{' '}) // skips shared
	code, _, _ := bytes.Cut(rest, []byte{' '})
	var m Memory
	m.Total, _ = ParseUint(total, 10)
	m.Code, _ = ParseUint(code, 10)
	return m, nil
}

// Code is the size of a process's code in its program and in its libraries, in KiB, according to its status file.
type Code struct{ Program, Libraries uint64 }

// Code reads the process's status file. buffer is scratch memory. Code returns zero if the file cannot be read. It does
// not block.
func (p Process) Code(buffer []byte) (c Code) {
	text, err := readSmall(p.Path("status"), buffer)
	if err != nil {
		return c
	}
	for _, field := range []struct {
		name  string
		value *uint64
	}{{"\nVmExe:", &c.Program}, {"\nVmLib:", &c.Libraries}} {
		_, rest, _ := bytes.Cut(text, []byte(field.name))
		digits, _, _ := bytes.Cut(bytes.TrimLeft(rest, " \t"), []byte{' '})
		*field.value, _ = ParseUint(digits, 10)
	}
	return c
}
