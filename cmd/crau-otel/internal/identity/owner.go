// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"fmt"

	"github.com/crau-otel/crau-otel/mapping"
	"github.com/crau-otel/crau-otel/mapping/contexts"
	"github.com/crau-otel/crau-otel/probes/host"
	"github.com/crau-otel/crau-otel/tracer/event"
)

// minNamespaced is the first of the users that containers and their users are given: subuid(5), systemd's UIDS-GIDS.
const minNamespaced = 1 << 16

// Owner returns whose share of the limits a process counts against: that of its container or of its user's slice, else
// that of its user in its unit or cgroup. None of these can be made up by who runs the process.
func (r *Resolver) Owner(pid uint32, p event.Process) mapping.Owner {
	if p == (event.Process{}) {
		return contexts.OwnerByUser(pid, p)
	}
	return ownerAt(r.place(pid, p), p.UID)
}

func ownerAt(place host.Place, uid uint32) mapping.Owner {
	if place.Container {
		return mapping.Owner{ID: place.Owner, Class: contexts.ClassContainer}
	}
	where := ""
	if place.Owner != "" && place.Owner != "/" {
		where = " in " + place.Owner
	}
	owner := mapping.Owner{ID: fmt.Sprint("user ", uid, where), Class: contexts.ClassOfUser(uid)}
	switch {
	case uid < minNamespaced:
	case place.IsUser: // who may use the users of a range
		owner.ID = fmt.Sprint("user ", place.User, where)
	default: // each user has a range of as many, and would have as many shares
		owner.ID = fmt.Sprint("users from ", uid/minNamespaced*minNamespaced, where)
	}
	return owner
}
