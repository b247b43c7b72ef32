// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"github.com/crau-otel/crau-otel/mapping"
	"github.com/crau-otel/crau-otel/mapping/contexts"
	"github.com/crau-otel/crau-otel/probes/host"
	"github.com/crau-otel/crau-otel/tracer/event"
)

// Owner returns whose share of the limits a process counts against: that of its container or of its user's slice, else
// that of its user in its unit or cgroup. None of these can be made up by who runs the process.
func (r *Resolver) Owner(pid uint32, p event.Process) mapping.Owner {
	if p == (event.Process{}) {
		return contexts.OwnerByUser(pid, p)
	}
	return ownerAt(r.place(pid, p), p.UID)
}

func ownerAt(place host.Place, uid uint32) mapping.Owner {
	owner := mapping.Owner{ID: place.OwnerOf(uid), Class: contexts.ClassOfUser(uid)}
	if place.Container {
		owner.Class = contexts.ClassContainer
	}
	return owner
}

// OwnerOfUser returns the owner that a user is, wherever its processes are.
func (r *Resolver) OwnerOfUser(uid uint32) mapping.Owner { return ownerAt(host.Place{}, uid) }

// OwnerOfCgroup returns the owner of the processes of root, or of those of system users, in a cgroup. Unlike other methods,
// it may be called on any goroutine.
func (r *Resolver) OwnerOfCgroup(cgroup uint64, root bool) mapping.Owner {
	var place host.Place
	if r.cgroups != nil {
		place, _ = r.cgroups.Locate(cgroup)
	}
	owner := ownerAt(place, 0)
	if !root && !place.Container {
		owner = mapping.Owner{ID: "services in " + place.Owner, Class: contexts.ClassSystem}
	}
	return owner
}
