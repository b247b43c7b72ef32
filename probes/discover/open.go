// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/crau-otel/crau-otel/probes"
)

var (
	errNotRegular = errors.New("not a regular file")
	errOtherFile  = errors.New("its path leads to another file")
	errFuse       = errors.New("on FUSE, which may never answer")
)

// root is the root folder of a process, or of the host.
type root struct {
	path string // that leads to it
	base string // what it is called in the paths that the kernel tells, without a slash at the end
}

// sighting is a way to a file: a mapping of a process, or a path on the host.
type sighting struct {
	task  uint32 // whose mapping it is; 0: on the host
	link  string // that leads to it; "": there is only path
	path  string // as the kernel tells it
	id    mapID  // if it is a mapping
	root  root   // that path starts from
	host  root
	space uint64 // mount namespace, 0: the host's
	group string // cgroup path
}

func procPath(pid uint32, name string) string {
	return "/proc/" + strconv.FormatUint(uint64(pid), 10) + "/" + name
}

func descriptorPath(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }

// within returns a path that the kernel tells as those see it whose root it is.
func (r root) within(path string) string {
	if inner, ok := strings.CutPrefix(path, r.base); ok && strings.HasPrefix(inner, "/") {
		return inner
	}
	return path
}

// find returns a mere path to what a path that the kernel tells leads to, which
// no link and no ".." leads out of the root folder.
func (r root) find(path string) (int, error) {
	dir, err := open(r.path, unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return -1, err
	}
	defer unix.Close(dir)
	return ignoringEINTR(func() (int, error) {
		return unix.Openat2(dir, r.within(path), &unix.OpenHow{
			Flags:   unix.O_PATH | unix.O_CLOEXEC,
			Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
		})
	})
}

// find returns a mere path to the file: nothing is opened yet.
func (s *sighting) find() (int, error) {
	if s.link != "" {
		fd, err := open(s.link, unix.O_PATH)
		if err == nil || !errors.Is(err, os.ErrPermission) {
			return fd, err
		}
	}
	fd, err := s.root.find(s.path)
	if err != nil || s.id.inode == 0 {
		return fd, err
	}
	// The number of the inode is right even where maps and stat do not agree
	// about the device.
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		unix.Close(fd)
		return -1, err
	}
	if st.Ino != s.id.inode {
		unix.Close(fd)
		return -1, errOtherFile
	}
	return fd, nil
}

// open opens the file for reading, if it is a regular one and not on FUSE. It may block for ever.
func (s *sighting) open(kinds *mountKinds) (readable int, st unix.Stat_t, err error) {
	fd, err := s.find()
	if err != nil {
		return -1, st, err
	}
	defer unix.Close(fd)
	if kinds.isFuse(fd, s.task) {
		return -1, st, errFuse
	}
	if err := unix.Fstat(fd, &st); err != nil {
		return -1, st, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return -1, st, errNotRegular
	}
	// The same inode, which is a regular file: opening it has no side effects.
	readable, err = open(descriptorPath(fd), unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY)
	return readable, st, err
}

// OpenExecutable opens the file that a process executes. It refuses files on
// FUSE; on a network's file system it may block for ever.
func OpenExecutable(pid uint32) (*os.File, error) {
	s := sighting{task: pid, link: procPath(pid, "exe")}
	fd, _, err := s.open(newMountKinds())
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", s.link, err)
	}
	return os.NewFile(uintptr(fd), s.link), nil
}

// look opens the file and reads its probes. It may block for ever.
func (s *sighting) look(kinds *mountKinds) (f finding) {
	readable, st, err := s.open(kinds)
	if err != nil {
		return finding{err: err}
	}
	f.inode, f.changed = inode{st.Dev, st.Ino}, st.Ctim.Nano()
	file, err := probes.Read(reader(readable), st.Size, s.root.within(s.path))
	if file == nil {
		unix.Close(readable)
		f.why = err
		return f
	}
	e := &entry{
		File:  File{Path: file.Path, Cgroup: s.group, Probes: file},
		sites: len(file.Sites), buildID: file.BuildID, soname: file.Soname, problems: file.Problems,
		space: s.space, base: s.root.base,
	}
	if err != nil {
		e.refused = err.Error()
	}
	if where, deleted, err := pathOf(readable); err == nil {
		e.Path = s.root.within(where)
		e.Distrust = s.distrust(&st, where, deleted)
	} else {
		e.Distrust = err.Error()
	}
	e.Trusted = e.Distrust == ""
	e.Key = keyOf(readable, &st, s.id)
	e.open = os.NewFile(uintptr(readable), e.Path)
	f.entry = e
	return f
}

// pathOf returns where the kernel says that an open file is.
func pathOf(fd int) (path string, deleted bool, err error) {
	link, err := readLink(descriptorPath(fd))
	if err != nil {
		return "", false, fmt.Errorf("read link of open file: %w", err)
	}
	path, deleted = strings.CutSuffix(link, " (deleted)")
	return path, deleted, nil
}

// open is open(2), without the ways of os.OpenFile that only cost time here.
func open(path string, flags int) (int, error) {
	return ignoringEINTR(func() (int, error) { return unix.Open(path, flags|unix.O_CLOEXEC, 0) })
}

func readLink(path string) (string, error) {
	var buffer [unix.PathMax]byte
	n, err := unix.Readlink(path, buffer[:])
	if err != nil {
		return "", err
	}
	return string(buffer[:n]), nil
}

// statNow returns what the kernel has at hand of a file, without asking the
// file system's server.
func statNow(path string) (i inode, changed int64, regular bool, err error) {
	var st unix.Statx_t
	err = unix.Statx(unix.AT_FDCWD, path, unix.AT_STATX_DONT_SYNC, unix.STATX_INO|unix.STATX_TYPE|unix.STATX_CTIME, &st)
	if err != nil {
		return inode{}, 0, false, err
	}
	i = inode{unix.Mkdev(st.Dev_major, st.Dev_minor), st.Ino}
	return i, st.Ctime.Sec*int64(time.Second) + int64(st.Ctime.Nsec), st.Mode&unix.S_IFMT == unix.S_IFREG, nil
}

// reader reads a file descriptor at offsets.
type reader int

// ReadAt implements [io.ReaderAt].
func (r reader) ReadAt(p []byte, offset int64) (int, error) {
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
