// SPDX-License-Identifier: Apache-2.0

package host

import (
	"fmt"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Place is a cgroup, and what its path says, divided by who could choose the names.
type Place struct {
	Path string // of the cgroup; "" if it is not known

	// Owner is the path of the outermost container, unit or user's slice, which the processes in it could not make up. All
	// of them share limits. It is the whole path if that names none of these, and "/" for the root.
	Owner     string
	User      uint32 // with IsUser: the user whose slice Owner is
	IsUser    bool   // Owner is a user's slice
	Container bool   // Owner is a container

	Known  Cgroup // named by root
	Nested Cgroup // named further below, by whoever runs in the cgroups of the owner
}

// Locate divides the path of a cgroup by its names alone: whatever is below a container, or below a unit of a user's
// slice, was named by those who run there. [Cgroups.Locate] knows more.
func Locate(path string) Place { return locate(path, len(path), false) }

// locate divides a path. Users could make up all names after the first believed bytes. Where it is certain that root made
// those before, a container in a unit, such as that of containerd, is an owner of its own.
func locate(path string, believed int, certain bool) Place {
	p := Place{Path: path}
	cut, owner, parent := believed, -1, ""
walk:
	for end, part := range parts(path[:believed]) {
		id, _ := identifier(part, parent)
		user, isUser := userSlice(part)
		parent = part
		switch {
		case p.IsUser && systemdUnit(part):
			cut = end
			break walk
		case p.IsUser:
		case isUser:
			p.User, p.IsUser, owner = user, true, end
		case id != "":
			cut = end
			if owner < 0 || certain {
				p.Container, owner = true, end
			}
			break walk
		case owner < 0 && systemdUnit(part):
			owner = end
		}
	}
	if owner < 0 {
		owner = believed
	}
	p.Known, p.Nested = ParseCgroup(path[:cut]), ParseCgroup(path[cut:])
	if p.IsUser { // root names no containers there
		p.Nested = ParseCgroup(path[owner:])
		p.Known = Cgroup{Unit: p.Known.Unit}
		if p.Nested.Unit == p.Known.Unit {
			p.Nested.Unit = ""
		}
	}
	if p.Owner = path[:owner]; p.Owner == "" {
		p.Owner = "/"
	}
	return p
}

// minNamespaced is the first of the users that containers and their users are given: subuid(5), systemd's UIDS-GIDS.
const minNamespaced = 1 << 16

// OwnerOf names whose share of the limits a process of a user counts against: that of its container or of its user's slice,
// else that of its user in its unit or cgroup. None of these can be made up by who runs the process.
func (p Place) OwnerOf(user uint32) string {
	if p.Container {
		return p.Owner
	}
	where := ""
	if p.Owner != "" && p.Owner != "/" {
		where = " in " + p.Owner
	}
	switch {
	case user < minNamespaced:
		return fmt.Sprint("user ", user, where)
	case p.IsUser: // who may use the users of a range
		return fmt.Sprint("user ", p.User, where)
	}
	// Each user has a range of as many, and would have as many shares.
	return fmt.Sprint("users from ", user/minNamespaced*minNamespaced, where)
}

// userSlice returns the user of a slice that systemd makes for each user.
func userSlice(part string) (user uint32, ok bool) {
	number, ok := strings.CutPrefix(part, "user-")
	if !ok {
		return 0, false
	}
	if number, ok = strings.CutSuffix(number, ".slice"); !ok {
		return 0, false
	}
	n, err := strconv.ParseUint(number, 10, 32)
	return uint32(n), err == nil
}

// Locate returns the place of a cgroup by its number. Unlike the function, it finds out who could make its path up: users
// who may create cgroups below one own its folder.
func (c *Cgroups) Locate(id uint64) (Place, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p, ok := c.places[id]; ok {
		return p, true
	}
	path, ok := c.path(id)
	if !ok {
		return Place{}, false
	}
	p := c.LocatePath(path)
	if len(c.places) >= maxCgroups {
		clear(c.places)
	}
	c.places[id] = p
	return p, true
}

// LocatePath is [Cgroups.Locate] for the path of a cgroup of version 2.
func (c *Cgroups) LocatePath(path string) Place { return locate(path, c.believed(path), true) }

// believed returns up to which byte only root could choose the names of a path: up to the first folder that somebody else
// may create others in, or that is gone.
func (c *Cgroups) believed(where string) int {
	for end := 0; ; {
		var st unix.Stat_t
		err := unix.Lstat(path.Join(c.mount, where[:end]), &st)
		if err != nil || st.Uid != 0 || st.Mode&0o022 != 0 || end == len(where) {
			return end
		}
		if next := strings.IndexByte(where[end+1:], '/'); next >= 0 {
			end += 1 + next
		} else {
			end = len(where)
		}
	}
}
