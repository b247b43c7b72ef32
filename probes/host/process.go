// SPDX-License-Identifier: Apache-2.0

package host

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Process is the number of a process or thread, in the PID namespace that /proc shows. 0 means no process.
type Process uint32

// Path returns the path of a file or link in the process's folder of /proc.
func (p Process) Path(name string) string {
	return "/proc/" + strconv.FormatUint(uint64(p), 10) + "/" + name
}

// Root returns the root folder of the process. It reads a link, which does not block.
func (p Process) Root() Root {
	base, _ := ReadLink(p.Path("root"))
	if base == "/" {
		base = ""
	}
	return Root{Path: p.Path("root"), Base: base}
}

// Executable returns the kernel's path of the file that the process executes. It does not block.
func (p Process) Executable() (string, error) {
	link, err := ReadLink(p.Path("exe"))
	if err != nil {
		return "", fmt.Errorf("read executable: %w", err)
	}
	plain, _ := plainPath(link)
	return plain, nil
}

// OpenExecutable opens the file that the process executes. It refuses files on FUSE. On a network file system it may
// block for as long as the server does.
func (p Process) OpenExecutable() (*os.File, error) {
	link := p.Path("exe")
	fd, err := Open(link, unix.O_PATH)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", link, err)
	}
	defer unix.Close(fd)
	readable, _, err := OpenRegular(fd, p, NewMountKinds())
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", link, err)
	}
	return os.NewFile(uintptr(readable), link), nil
}

// MaxCommandLine bounds how much of a process's arguments is read, in bytes.
const MaxCommandLine = 4096

// CommandLine returns the first MaxCommandLine bytes of the process's arguments, split into arguments. It blocks while
// the process keeps its memory map locked.
func (p Process) CommandLine() ([]string, error) {
	line, err := readSmall(p.Path("cmdline"), make([]byte, MaxCommandLine))
	if err != nil {
		return nil, fmt.Errorf("read arguments: %w", err)
	}
	if len(line) == 0 {
		return nil, nil // a kernel thread, or a process that has ended
	}
	return strings.Split(string(bytes.TrimSuffix(line, []byte{0})), "\x00"), nil
}

// maxEnvironment bounds how much of a process's environment is read, in bytes.
const maxEnvironment = 256 << 10

// Environment returns the values of some of the process's environment variables, as they were when it was executed. It
// blocks while the process keeps its memory map locked.
func (p Process) Environment(names ...string) map[string]string {
	data, err := readSmall(p.Path("environ"), make([]byte, maxEnvironment))
	values := make(map[string]string)
	if err != nil {
		return values
	}
	for variable := range bytes.SplitSeq(data, []byte{0}) {
		name, value, _ := bytes.Cut(variable, []byte{'='})
		if slices.Contains(names, string(name)) {
			values[string(name)] = string(value)
		}
	}
	return values
}

// StartTime returns when the process started, in ticks of 10 ms since boot. The kernel reuses process numbers, but
// number and start time together identify a process. StartTime does not block.
func (p Process) StartTime() (ticks uint64, err error) {
	data, err := readSmall(p.Path("stat"), make([]byte, 4096))
	if err != nil {
		return 0, fmt.Errorf("read start time: %w", err)
	}
	// The fields are described in proc_pid_stat(5). The second one is the name of the process, which may contain spaces
	// and parentheses. The start time is the 22nd; fields begins with the third.
	const start = 22 - 3
	fields := bytes.Fields(data[bytes.LastIndexByte(data, ')')+1:])
	if len(fields) <= start {
		return 0, errors.New("read start time: too few fields")
	}
	return strconv.ParseUint(string(fields[start]), 10, 64)
}

// MountNamespace returns the number of the process's mount namespace, or 0 if it cannot be read.
func (p Process) MountNamespace() uint64 { return namespace(p.Path("ns/mnt")) }

// OwnMountNamespace returns the number of this process's mount namespace, or 0 if it cannot be read.
func OwnMountNamespace() uint64 { return namespace("/proc/self/ns/mnt") }

// namespace returns the number of the namespace that a link in /proc names, such as "mnt:[4026531841]".
func namespace(link string) uint64 {
	text, err := ReadLink(link)
	if err != nil {
		return 0
	}
	_, number, _ := bytes.Cut([]byte(path.Base(text)), []byte{'['})
	value, _ := ParseUint(bytes.TrimSuffix(number, []byte{']'}), 10)
	return value
}

// RootUser returns the host's id of the user who is root in the user namespace of the process.
func (p Process) RootUser() (uint64, error) {
	data, err := os.ReadFile(p.Path("uid_map"))
	if err != nil {
		return 0, fmt.Errorf("read user namespace: %w", err)
	}
	for line := range bytes.Lines(data) {
		fields := bytes.Fields(line)
		if len(fields) != 3 || string(fields[0]) != "0" {
			continue
		}
		if user, ok := ParseUint(fields[1], 10); ok {
			return user, nil
		}
	}
	return 0, errors.New("in a user namespace without a root")
}

// User returns the effective user of the process.
func (p Process) User() (uint32, error) {
	data, err := os.ReadFile(p.Path("status"))
	if err != nil {
		return 0, fmt.Errorf("read user: %w", err)
	}
	_, rest, _ := strings.Cut(string(data), "\nUid:")
	line, _, _ := strings.Cut(rest, "\n")
	ids := strings.Fields(line) // real, effective, saved, file system
	if len(ids) < 2 {
		return 0, errors.New("read user: no line Uid")
	}
	n, err := strconv.ParseUint(ids[1], 10, 32)
	if err != nil {
		return 0, fmt.Errorf("read user: %w", err)
	}
	return uint32(n), nil
}

// OtherThread returns a thread of the process other than its first, or 0 if there is none. It is needed if the first
// thread has ended and others still run: the first thread then shows no maps.
func (p Process) OtherThread() Process {
	fd, err := Open(p.Path("task"), unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return 0
	}
	defer unix.Close(fd)
	other := Process(0)
	_, _ = readNumbers(fd, make([]byte, 4096), func(number Process) {
		if number != p && other == 0 {
			other = number
		}
	})
	return other
}

// ListProcesses calls visit with the number of each process in proc, which is an open /proc folder. buffer is scratch
// memory.
func ListProcesses(proc *os.File, buffer []byte, visit func(Process)) error {
	fd := int(proc.Fd())
	if _, err := unix.Seek(fd, 0, 0); err != nil {
		return fmt.Errorf("list processes: %w", err)
	}
	for {
		more, err := readNumbers(fd, buffer, visit)
		if err != nil {
			return fmt.Errorf("list processes: %w", err)
		}
		if !more {
			return nil
		}
	}
}

// readNumbers reads entries of an open folder into buffer once, and calls visit for those whose names are numbers. more
// is false at the end of the folder.
func readNumbers(fd int, buffer []byte, visit func(Process)) (more bool, err error) {
	n, err := ignoringEINTR(func() (int, error) { return unix.Getdents(fd, buffer) })
	if err != nil || n == 0 {
		return false, err
	}
	const sizeAt, nameAt = 16, 19 // offsets in struct linux_dirent64
	for data := buffer[:n]; len(data) >= nameAt; {
		size := int(binary.NativeEndian.Uint16(data[sizeAt:]))
		name, _, _ := bytes.Cut(data[nameAt:size], []byte{0})
		if number, ok := ParseUint(name, 10); ok {
			visit(Process(number))
		}
		data = data[size:]
	}
	return true, nil
}
