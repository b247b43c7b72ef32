// SPDX-License-Identifier: Apache-2.0

package host

import (
	"errors"
	"fmt"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// Root is the root folder of the host or of a process. Paths are resolved within it: no link and no ".." leads out of
// it. The methods of Root may block for as long as any file system on the path does.
type Root struct {
	Path string // path that leads to the folder, such as /proc/PID/root
	Base string // path of the folder as the kernel shows it, without a slash at the end; "" for /
}

// InitRoot leads to the root folder of the first process, which is the host's.
const InitRoot = "/proc/1/root"

// OpenHostRoot opens the host's root folder at path. If path is "", it uses the first of [InitRoot] and / that can be
// opened. The Root is valid until the returned file is closed.
func OpenHostRoot(path string) (Root, *os.File, error) {
	paths := []string{path}
	if path == "" {
		paths = []string{InitRoot, "/"}
	}
	var errs []error
	for _, path := range paths {
		fd, err := Open(path, unix.O_PATH|unix.O_DIRECTORY)
		if err != nil {
			errs = append(errs, fmt.Errorf("open host's root %s: %w", path, err))
			continue
		}
		root := Root{Path: DescriptorPath(fd)}
		if base, err := ReadLink(root.Path); err == nil && base != "/" {
			root.Base = base
		}
		return root, os.NewFile(uintptr(fd), path), nil
	}
	return Root{}, nil, errors.Join(errs...)
}

// Within converts a path as the kernel shows it to the path that processes with this root folder see.
func (r Root) Within(path string) string {
	if inner, ok := strings.CutPrefix(path, r.Base); ok && strings.HasPrefix(inner, "/") {
		return inner
	}
	return path
}

// Find resolves a path as the kernel shows it, and returns an O_PATH descriptor.
func (r Root) Find(path string) (int, error) {
	dir, err := Open(r.Path, unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return -1, err
	}
	defer unix.Close(dir)
	return FindBeneath(dir, r.Within(path))
}

// maxDetours is the maximum number of links and ".." in a path; links(7) has the same limit for links.
const maxDetours = 40

// FindBeneath resolves a path as if the open folder root were the root folder, and returns an O_PATH descriptor. It
// does what openat2(2) does with RESOLVE_IN_ROOT. It does not use openat2, which the agent's own sandbox refuses;
// package sandbox explains why. It does not follow links in procfs.
func FindBeneath(root int, path string) (int, error) {
	here := root // descriptor of the file that has been reached
	leave := func(next int) {
		if here != root {
			unix.Close(here)
		}
		here = next
	}
	var walked []string // names on the way from root to here
	rest := strings.Split(path, "/")
	for detours := 0; len(rest) > 0; {
		name := rest[0]
		rest = rest[1:]
		if name == "" || name == "." {
			continue
		}
		var target string // target of a link; for "..", the path of the parent folder
		if name == ".." {
			var st unix.Stat_t
			if err := unix.Fstat(here, &st); err != nil {
				leave(root)
				return -1, err
			} else if st.Mode&unix.S_IFMT != unix.S_IFDIR {
				leave(root)
				return -1, unix.ENOTDIR
			}
			target = "/" + strings.Join(walked[:max(len(walked)-1, 0)], "/")
		} else {
			next, link, err := step(here, name)
			if err != nil {
				leave(root)
				return -1, err
			} else if next >= 0 {
				walked = append(walked, name)
				leave(next)
				continue
			}
			target = link
		}
		if detours++; detours > maxDetours {
			leave(root)
			return -1, unix.ELOOP
		}
		rest = append(strings.Split(target, "/"), rest...)
		if strings.HasPrefix(target, "/") {
			walked = nil
			leave(root)
		}
	}
	if here != root {
		return here, nil
	}
	return ignoringEINTR(func() (int, error) { return unix.Openat(root, ".", unix.O_PATH|unix.O_CLOEXEC, 0) })
}

// step opens an entry of a folder or, if the entry is a symbolic link, returns the target of the link.
func step(folder int, name string) (fd int, target string, err error) {
	// Most entries are folders; for these, one call is enough.
	fd, err = ignoringEINTR(func() (int, error) {
		return unix.Openat(folder, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	})
	if err == nil || !errors.Is(err, unix.ENOTDIR) {
		return fd, "", err
	}
	fd, err = ignoringEINTR(func() (int, error) {
		return unix.Openat(folder, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return -1, "", err
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		unix.Close(fd)
		return -1, "", err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFLNK {
		return fd, "", nil
	}
	defer unix.Close(fd)
	var fs unix.Statfs_t
	if err := unix.Fstatfs(fd, &fs); err != nil {
		return -1, "", err
	} else if fs.Type == unix.PROC_SUPER_MAGIC {
		return -1, "", unix.ELOOP
	}
	var buffer [unix.PathMax]byte
	n, err := unix.Readlinkat(fd, "", buffer[:])
	if err != nil {
		return -1, "", err
	}
	return -1, string(buffer[:n]), nil
}

// PathOf does what the function [PathOf] does, for a file with the status st. In addition, it detects a file that is
// not deleted although its name ends with " (deleted)".
func (r Root) PathOf(fd int, st *unix.Stat_t) (path string, deleted bool, err error) {
	path, deleted, err = PathOf(fd)
	if deleted && st.Nlink > 0 && r.leadsTo(path+deletedSuffix, st, false) {
		return path + deletedSuffix, false, nil
	}
	return path, deleted, err
}

// Reaches reports whether the path of an open file still leads to it.
func (r Root) Reaches(fd int) bool {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Nlink == 0 {
		return false
	}
	path, deleted, err := r.PathOf(fd, &st)
	return err == nil && !deleted && r.leadsTo(path, &st, false)
}

// LeadsTo reports whether a path as the kernel shows it leads to the file with the status st.
func (r Root) LeadsTo(path string, st *unix.Stat_t) bool { return r.leadsTo(path, st, false) }

// leadsTo reports whether a path leads to the file with the status st. For a deleted file, it reports whether the
// folder in the path exists and is on the same device.
func (r Root) leadsTo(where string, st *unix.Stat_t, deleted bool) bool {
	if deleted {
		where = path.Dir(where)
	}
	fd, err := r.Find(where)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	var found unix.Stat_t
	if err := unix.Fstat(fd, &found); err != nil || found.Dev != st.Dev {
		return false
	}
	return deleted || found.Ino == st.Ino
}
