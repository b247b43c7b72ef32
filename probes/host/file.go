// SPDX-License-Identifier: Apache-2.0

package host

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Errors for files that are not opened.
var (
	ErrNotRegular = errors.New("not a regular file")
	ErrOtherFile  = errors.New("its path leads to another file")
	ErrFUSE       = errors.New("on FUSE, which may never answer")
)

// Inode identifies a file by the numbers that stat returns.
type Inode struct{ Device, Number uint64 }

// DescriptorPath returns a path that leads to an open file of this process.
func DescriptorPath(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }

// Open is open(2) with O_CLOEXEC. Unlike os.OpenFile it does not register the descriptor with the runtime's poller.
func Open(path string, flags int) (int, error) {
	return ignoringEINTR(func() (int, error) { return unix.Open(path, flags|unix.O_CLOEXEC, 0) })
}

// ReadLink returns the target of a symbolic link.
func ReadLink(path string) (string, error) {
	var buffer [unix.PathMax]byte
	n, err := unix.Readlink(path, buffer[:])
	if err != nil {
		return "", err
	}
	return string(buffer[:n]), nil
}

// PathOf returns the path of an open file as the kernel shows it, and whether the file was deleted.
func PathOf(fd int) (path string, deleted bool, err error) {
	link, err := ReadLink(DescriptorPath(fd))
	if err != nil {
		return "", false, fmt.Errorf("read link of open file: %w", err)
	}
	path, deleted = strings.CutSuffix(link, deletedSuffix)
	return path, deleted, nil
}

// OpenRegular opens the file behind the O_PATH descriptor fd for reading. It fails if the file is not regular or is on
// FUSE. viewer is a process whose mount table contains the mount of the file, or 0 for this process. OpenRegular may
// block for as long as the file system does.
func OpenRegular(fd int, viewer Process, mounts *MountKinds) (readable int, st unix.Stat_t, err error) {
	if mounts.IsFUSE(fd, viewer) {
		return -1, st, ErrFUSE
	}
	if err := unix.Fstat(fd, &st); err != nil {
		return -1, st, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return -1, st, ErrNotRegular
	}
	// The path leads to the same inode. Opening a regular file has no side effects.
	readable, err = Open(DescriptorPath(fd), unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY)
	return readable, st, err
}

// OpenForWriting reports whether any process has the file of the descriptor open for writing. The kernel then refuses a
// read lease on the file. OpenForWriting always returns false on file systems without leases and, without CAP_LEASE,
// for files of other users.
func OpenForWriting(fd int) bool {
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETLEASE, unix.F_RDLCK); err != nil {
		return errors.Is(err, unix.EAGAIN)
	}
	_, _ = unix.FcntlInt(uintptr(fd), unix.F_SETLEASE, unix.F_UNLCK)
	return false
}

// Status is the part of a file's status that [CachedStatus] returns.
type Status struct {
	Inode   Inode
	Changed int64 // change time (ctime), nanoseconds since 1970
	Regular bool
}

// CachedStatus returns what the kernel has cached about a file, without contacting the server of its file system.
func CachedStatus(path string) (Status, error) {
	var st unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, path, unix.AT_STATX_DONT_SYNC, unix.STATX_INO|unix.STATX_TYPE|unix.STATX_CTIME, &st)
	if err != nil {
		return Status{}, err
	}
	return Status{
		Inode:   Inode{unix.Mkdev(st.Dev_major, st.Dev_minor), st.Ino},
		Changed: st.Ctime.Sec*int64(time.Second) + int64(st.Ctime.Nsec),
		Regular: st.Mode&unix.S_IFMT == unix.S_IFREG,
	}, nil
}

// Reader reads a file descriptor at offsets. It does not own the descriptor.
type Reader int

// ReadAt implements [io.ReaderAt].
func (r Reader) ReadAt(p []byte, offset int64) (int, error) {
	done := 0
	for done < len(p) {
		n, err := ignoringEINTR(func() (int, error) { return unix.Pread(int(r), p[done:], offset+int64(done)) })
		if err != nil {
			return done, err
		}
		if n == 0 {
			return done, io.EOF
		}
		done += n
	}
	return done, nil
}

// readSmall reads a file of /proc into buffer with a single read, and returns the part of buffer that was filled.
func readSmall(path string, buffer []byte) ([]byte, error) {
	fd, err := Open(path, unix.O_RDONLY)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	n, err := ignoringEINTR(func() (int, error) { return unix.Read(fd, buffer) })
	if err != nil {
		return nil, &os.PathError{Op: "read", Path: path, Err: err}
	}
	return buffer[:n], nil
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
