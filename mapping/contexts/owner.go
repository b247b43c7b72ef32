// SPDX-License-Identifier: Apache-2.0

package contexts

import (
	"fmt"

	"github.com/crau-otel/crau-otel/tracer/event"
)

// OwnerClass is the kind of an owner.
type OwnerClass uint8

// The classes. Config.Owner decides which class an owner belongs to.
const (
	ClassUser OwnerClass = iota // user outside of the other classes, or unknown
	ClassRoot
	ClassSystem
	ClassContainer
	classes
)

// String returns the name of the class in metrics and logs.
func (c OwnerClass) String() string {
	switch c {
	case ClassUser:
		return "user"
	case ClassRoot:
		return "root"
	case ClassSystem:
		return "system"
	case ClassContainer:
		return "container"
	}
	return fmt.Sprintf("class %d", uint8(c))
}

// Owner is what a process counts against when limits are shared, such as a user or a container.
type Owner struct {
	ID    string // identifies the owner within its class
	Class OwnerClass
}

// OwnerByUser returns an owner for the user that a process runs as: each user has one share.
func OwnerByUser(_ uint32, record event.Process) Owner {
	if record == (event.Process{}) {
		return Owner{ID: "unknown"}
	}
	return Owner{fmt.Sprint("uid ", record.UID), ClassOfUser(record.UID)}
}

// ClassOfUser returns the class of a user outside of containers. The ranges are those of systemd's UIDS-GIDS document.
func ClassOfUser(uid uint32) OwnerClass {
	switch {
	case uid == 0:
		return ClassRoot
	case uid < 1000, uid >= 61184 && uid <= 65519: // systemd allocates the second range to services
		return ClassSystem
	}
	return ClassUser
}

// Limit names a limit that causes evictions.
type Limit uint8

// The limits.
const (
	LimitContexts Limit = iota
	LimitBytes
	LimitTree
	LimitProcesses
	limits
)

// String returns the name of the limit in metrics and logs.
func (l Limit) String() string {
	switch l {
	case LimitContexts:
		return "open_contexts"
	case LimitBytes:
		return "open_bytes"
	case LimitTree:
		return "tree_spans"
	case LimitProcesses:
		return "processes"
	}
	return fmt.Sprintf("limit %d", uint8(l))
}

// Evictions counts evicted trees by limit and class of owner.
type Evictions [limits][classes]uint64

// Each calls f for each limit and class of owners.
func (e *Evictions) Each(f func(limit Limit, class OwnerClass, trees uint64)) {
	for l := range e {
		for c, trees := range e[l] {
			f(Limit(l), OwnerClass(c), trees)
		}
	}
}

// Total returns the sum of all.
func (e *Evictions) Total() (total uint64) {
	e.Each(func(_ Limit, _ OwnerClass, trees uint64) { total += trees })
	return total
}

// ClassCounts counts something by the class of its owner.
type ClassCounts [classes]uint64

// Each calls f for each class of owners.
func (c ClassCounts) Each(f func(class OwnerClass, n uint64)) {
	for class, n := range c {
		f(OwnerClass(class), n)
	}
}

// Total returns the sum of all.
func (c ClassCounts) Total() (total uint64) {
	c.Each(func(_ OwnerClass, n uint64) { total += n })
	return total
}
