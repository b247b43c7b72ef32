// SPDX-License-Identifier: Apache-2.0

package host

import (
	"fmt"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// notAtPath is a reason for not trusting a file.
const notAtPath = "its path does not lead to it"

// Distrust returns why others than the host's root can change the file at the path of an open file, or "" if they
// cannot. where and deleted are results of [PathOf], st is the status of the file. Distrust looks for the file below
// hostRoot, then below viewerRoot, the root folder of viewer. viewer is a process that sees the file, or 0 for a file
// of the host. namespaced is set if the file is not below hostRoot, but in the mount namespace of viewer: its creator,
// such as a container's root, put the file there. Distrust may block as the methods of [Root] do.
func Distrust(
	hostRoot Root, viewer Process, viewerRoot Root, st *unix.Stat_t, where string, deleted bool,
) (reason string, namespaced bool) {
	if hostRoot.leadsTo(where, st, deleted) {
		return hostRoot.distrust(where, st, deleted), false
	}
	if viewer == 0 {
		return notAtPath, false
	}
	// The file is in a separate mount namespace, where the root user of viewer can change it. This user is the host's root
	// only if viewer is in the host's user namespace.
	if user, err := viewer.RootUser(); err != nil {
		return err.Error(), true
	} else if user != 0 {
		return fmt.Sprintf("in a user namespace whose root is user %d", user), true
	}
	if !viewerRoot.leadsTo(where, st, deleted) {
		return notAtPath, false
	}
	return viewerRoot.distrust(where, st, deleted), true
}

// distrust walks from the root folder to the file. It returns the first reason for not trusting one of the folders on
// the way, the file or its mount.
func (r Root) distrust(where string, st *unix.Stat_t, deleted bool) string {
	where = path.Clean(r.Within(where))
	folder, err := Open(r.Path, unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return fmt.Sprintf("open its root: %v", err)
	}
	defer func() { unix.Close(folder) }()
	for name := "/"; ; {
		var here unix.Stat_t
		if err := unix.Fstat(folder, &here); err != nil {
			return fmt.Sprintf("stat %s: %v", name, err)
		}
		if reason := distrustOne(name, &here); reason != "" {
			return reason
		}
		if name == where {
			if here.Dev != st.Dev || here.Ino != st.Ino {
				return notAtPath
			}
			return distrustMount(folder)
		}
		part, _, _ := strings.Cut(strings.TrimPrefix(where[len(name):], "/"), "/")
		name = path.Join(name, part)
		if deleted && name == where {
			if reason := distrustOne(name, st); reason != "" {
				return reason
			}
			return distrustMount(folder)
		}
		next, err := unix.Openat(folder, part, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			return fmt.Sprintf("open %s: %v", name, err)
		}
		unix.Close(folder)
		folder = next
	}
}

// distrustMount judges the mount that fd is on. distrust has reached fd from a root folder, because the process that
// uses the file may have it on another mount, with flags that this process has chosen.
func distrustMount(fd int) string {
	var fs unix.Statfs_t
	if err := unix.Fstatfs(fd, &fs); err != nil {
		return fmt.Sprintf("stat its file system: %v", err)
	}
	if fs.Flags&unix.ST_NOSUID != 0 {
		// On a file system mounted nosuid, others than root may have chosen the owners of files. This is also why the kernel
		// ignores set-user-id bits there.
		return "its file system is mounted nosuid"
	}
	return ""
}

// distrustOne judges a file or folder by its owner and mode. If an access control list grants rights, they appear in
// the mode as the rights of the group.
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
