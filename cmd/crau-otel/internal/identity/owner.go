// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"github.com/crau-otel/crau-otel/mapping"
	"github.com/crau-otel/crau-otel/mapping/contexts"
	"github.com/crau-otel/crau-otel/probes/host"
	"github.com/crau-otel/crau-otel/tracer/event"
)

// Owner returns the owner that a process counts against: its container or its user's slice, else its user in its unit
// or cgroup. The user who runs the process cannot choose any of these names.
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

// OwnerOfUser returns the owner for a user's processes in all cgroups. It is safe for concurrent use.
func (r *Resolver) OwnerOfUser(uid uint32) mapping.Owner { return ownerAt(host.Place{}, uid) }

// OwnerOfCgroup returns the owner for processes in a cgroup: if root is set, for those of root, else for those of
// system users. It is safe for concurrent use.
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
