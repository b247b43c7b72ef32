// SPDX-License-Identifier: Apache-2.0

package host

import (
	"fmt"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Place is a cgroup, with the information in its path divided by who could choose the names.
type Place struct {
	Path string // path of the cgroup; "" if unknown

	// Owner is the start of Path up to the outermost container, unit or user's slice. A container that root is known to
	// have created within a unit takes precedence over the unit. The processes below Owner could not choose its name,
	// and share limits. Without any of these names, Owner is the part of Path that root could choose, or "/" if that is
	// empty.
	Owner     string
	User      uint32 // the user whose slice Owner is, if IsUser is set
	IsUser    bool   // Owner is a user's slice
	Container bool   // Owner is a container

	Known  Cgroup // names that root chose
	Nested Cgroup // names further below, which processes of the owner could choose
}

// Locate divides the path of a cgroup. It only looks at the names: it assumes that the processes in a container, or in
// a unit below a user's slice, have chosen everything below it. [Cgroups.Locate] is more precise.
func Locate(path string) Place { return locate(path, len(path), false) }

// locate divides a path. Users could choose all names after its first believed bytes. certain says that root is known
// to have chosen the names before. In this case, a container within a unit, such as one of containerd, is a separate
// owner.
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
	if p.IsUser { // the user chose all names below the slice, so they count as nested
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

// minNamespaced is the lowest user id of the ranges that are assigned to containers and to users for their containers:
// see subuid(5), and UIDS-GIDS in the documentation of systemd.
const minNamespaced = 1 << 16

// OwnerOf returns the name of the owner that a process of this user counts against: its container or, outside
// containers, the user together with the slice, unit or cgroup. The user who runs the process cannot choose any of
// these names.
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
	case p.IsUser: // the ids of a range that the user of the slice may use count as that user
		return fmt.Sprint("user ", p.User, where)
	}
	// A user can have a whole range of ids, and would otherwise have a separate share of the limits for each id.
	return fmt.Sprint("users from ", user/minNamespaced*minNamespaced, where)
}

// userSlice returns the user in the name of a slice that systemd creates for a user, such as user-1000.slice.
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

// Locate returns the place of the cgroup with the number id. In contrast to the function [Locate], it finds out who
// could choose the names in the path: a user who may create cgroups in a folder owns that folder or may write to it.
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

// LocatePath does what [Cgroups.Locate] does, for the path of a cgroup of version 2.
func (c *Cgroups) LocatePath(path string) Place { return locate(path, c.believed(path), true) }

// believed returns the length of the part of a path whose names only root could choose. That part ends at the first
// folder in which a user other than root may create folders, or that no longer exists.
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
