// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"os"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/crau-otel/crau-otel/limits"
	"github.com/crau-otel/crau-otel/probes/host"
)

const (
	burst = 4 * time.Second // time that may be spent on an owner without a pause
	share = 20              // divisor: after the burst, 1/share of the time may be spent on an owner

	maxPause = time.Minute // longest pause of an owner, regardless of how much time was spent on it
)

// owner is the unit by which limits are shared: a container, or a user of the host in a unit or slice; see
// [host.Place.OwnerOf].
type owner struct {
	name       string
	class      limits.Class
	isDisk     bool // the owner stands for the host's disk
	processes  int
	reported   quota // files first seen in its processes
	distrusted quota // the part of reported in files that others than root can write
	refusals   int   // refused files first seen in its processes
	mapped     int   // files that its processes map now
	facts      int   // facts about files without probes that are remembered for it
	held       int   // executed programs that wait to be resolved

	spent      time.Duration // time spent on the owner, which decreases by 1/share of the time that passes
	spentSince time.Time     // when spent was last updated
}

// inLimits returns the owner in the form that package limits uses.
func (o *owner) inLimits() limits.Owner { return limits.Owner{Name: o.name, Class: o.class} }

// spend adds time that was spent on the owner.
func (o *owner) spend(d time.Duration) { o.spent = min(o.spent+d, burst+maxPause/share) }

// affordable reports whether more time may be spent on the owner now.
func (o *owner) affordable(now time.Time) bool {
	o.spent = max(0, o.spent-now.Sub(o.spentSince)/share)
	o.spentSince = now
	return o.spent < burst
}

// unused reports whether nothing refers to the owner any more.
func (o *owner) unused() bool {
	return o.processes == 0 && o.reported[ofFiles] == 0 && o.refusals == 0 && o.facts == 0 && o.held == 0 && o.spent <= 0
}

// finder is where files are first seen: in a process, or on the host's disk.
type finder struct {
	owner    *owner
	isDisk   bool  // only the global limits apply to files on the host's disk
	reported quota // files first seen by this finder
}

// locator finds the owners of processes. It is safe for concurrent use.
type locator struct {
	cgroups *host.Cgroups // nil if cgroups of version 2 are not mounted

	mu     sync.Mutex
	places map[string]host.Place // places by path of the cgroup
	began  time.Time             // when places was last cleared
}

const (
	placesAge = time.Second // age at which places are looked up again: a cgroup can be given to another user
	maxPlaces = 4096
)

// newLocator returns a locator, which must be closed.
func newLocator() *locator {
	cgroups, err := host.NewCgroups()
	if err != nil {
		return &locator{places: make(map[string]host.Place)}
	}
	return &locator{cgroups: cgroups, places: make(map[string]host.Place)}
}

func (l *locator) close() error {
	if l.cgroups == nil {
		return nil
	}
	return l.cgroups.Close()
}

// isVersion2 reports whether a path belongs to a cgroup of version 2. It checks whether the outermost cgroup in the
// path exists there.
func (l *locator) isVersion2(cgroup string) bool {
	outermost, _, _ := strings.Cut(strings.TrimPrefix(cgroup, "/"), "/")
	_, err := os.Lstat(path.Join(l.cgroups.Mount(), outermost))
	return err == nil
}

// place returns the place of a cgroup.
func (l *locator) place(cgroup string) host.Place {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := time.Now(); now.Sub(l.began) > placesAge || len(l.places) >= maxPlaces {
		clear(l.places)
		l.began = now
	}
	place, ok := l.places[cgroup]
	if ok {
		return place
	}
	place = host.Locate(cgroup)
	if l.cgroups != nil && l.isVersion2(cgroup) {
		place = l.cgroups.LocatePath(cgroup)
	}
	l.places[cgroup] = place
	return place
}

// locate returns the name and class of the owner of the processes that a user has in a cgroup.
func (l *locator) locate(user uint32, cgroup string) (name string, class limits.Class) {
	return ownerIn(l.place(cgroup), user)
}

// locateNumber is like locate, for the number of a cgroup of version 2 or 0 if that is unknown.
func (l *locator) locateNumber(user uint32, cgroup uint64) (name string, class limits.Class) {
	var place host.Place
	if l.cgroups != nil && cgroup != 0 {
		place, _ = l.cgroups.Locate(cgroup)
	}
	return ownerIn(place, user)
}

func ownerIn(place host.Place, user uint32) (name string, class limits.Class) {
	if place.Container {
		return place.OwnerOf(user), limits.ClassContainer
	}
	return place.OwnerOf(user), classOf(user)
}

// classOf returns the class of a user outside of containers.
func classOf(user uint32) limits.Class {
	switch {
	case user == 0:
		return limits.ClassRoot
	case user < 1000, user >= 61184 && user <= 65519: // system and dynamic users: systemd, UIDS-GIDS
		return limits.ClassSystem
	}
	return limits.ClassUser
}
