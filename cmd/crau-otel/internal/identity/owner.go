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
