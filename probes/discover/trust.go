// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// errNotThere is a reason not to trust a file.
const errNotThere = "its path does not lead to it"

// distrust says why others than the host's root can change what is at the path
// of an open file, "" if they cannot. The kernel told the path.
func (s *sighting) distrust(st *unix.Stat_t, where string, deleted bool) string {
	if s.host.leadsTo(where, st, deleted) {
		return s.host.distrust(where, st, deleted)
	}
	if s.task == 0 {
		return errNotThere
	}
	// The file is in a mount namespace of its own, whose root user is the
	// host's only if it is in no user namespace of its own.
	if user, err := rootUser(s.task); err != nil {
		return err.Error()
	} else if user != 0 {
		return fmt.Sprintf("in a user namespace whose root is user %d", user)
	}
	if !s.root.leadsTo(where, st, deleted) {
		return errNotThere
	}
	return s.root.distrust(where, st, deleted)
}

// leadsTo says whether a path leads to the file or, if it was deleted, to
// where it was.
func (r root) leadsTo(where string, st *unix.Stat_t, deleted bool) bool {
	if deleted {
		where = path.Dir(where)
	}
	fd, err := r.find(where)
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

// distrust walks from the root folder to the file.
func (r root) distrust(where string, st *unix.Stat_t, deleted bool) string {
	where = path.Clean(r.within(where))
	at, err := open(r.path, unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return fmt.Sprintf("open its root: %v", err)
	}
	defer func() { unix.Close(at) }()
	for name := "/"; ; {
		var here unix.Stat_t
		if err := unix.Fstat(at, &here); err != nil {
			return fmt.Sprintf("stat %s: %v", name, err)
		}
		if reason := distrustOne(name, &here); reason != "" {
			return reason
		}
		if name == where {
			if here.Dev != st.Dev || here.Ino != st.Ino {
				return errNotThere // any more
			}
			return distrustMount(at)
		}
		part, _, _ := strings.Cut(strings.TrimPrefix(where[len(name):], "/"), "/")
		name = path.Join(name, part)
		if deleted && name == where {
			if reason := distrustOne(name, st); reason != "" {
				return reason
			}
			return distrustMount(at)
		}
		next, err := unix.Openat(at, part, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			return fmt.Sprintf("open %s: %v", name, err)
		}
		unix.Close(at)
		at = next
	}
}

// distrustMount judges a mount, as the host has it: a process may have
// restricted its own.
func distrustMount(fd int) string {
	var fs unix.Statfs_t
	if err := unix.Fstatfs(fd, &fs); err != nil {
		return fmt.Sprintf("stat its file system: %v", err)
	}
	if fs.Flags&unix.ST_NOSUID != 0 {
		// The same reason as for set-user-id programs: on such a file system,
		// others may have made the owners up.
		return "its file system is mounted nosuid"
	}
	return ""
}

// distrustOne judges a file or folder by its owner and mode, in which the
// rights that an access control list grants show as the group's.
func distrustOne(name string, st *unix.Stat_t) string {
	switch {
	case st.Uid != 0:
		return fmt.Sprintf("%s is owned by user %d", name, st.Uid)
	case st.Mode&unix.S_IFMT == unix.S_IFLNK:
		return name + " is a link"
	case st.Mode&0o022 != 0:
		return name + " can be written by others"
	}
	return ""
}

// rootUser returns the user of the host that the root of a process's user
// namespace is.
func rootUser(pid uint32) (uint64, error) {
	data, err := os.ReadFile(procPath(pid, "uid_map"))
	if err != nil {
		return 0, fmt.Errorf("read user namespace: %w", err)
	}
	for line := range bytes.Lines(data) {
		fields := bytes.Fields(line)
		if len(fields) != 3 || string(fields[0]) != "0" {
			continue
		}
		if user, ok := parseUint(fields[1], 10); ok {
			return user, nil
		}
	}
	return 0, errors.New("in a user namespace without a root")
}
