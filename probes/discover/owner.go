// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"strings"
	"time"

	"github.com/crau-otel/crau-otel/limits"
	"github.com/crau-otel/crau-otel/probes/host"
)

const (
	burst = 4 * time.Second // time that an owner may use at once
	share = 20              // after that, an owner may use one part in so many of the time
)

// owner is who shares limits: a container, or a unit or user of the host.
type owner struct {
	name       string
	class      limits.Class
	isDisk     bool // the host's disk
	processes  int
	reported   quota // files first seen in its processes
	distrusted quota // of these, files that not only root can write
	refusals   int   // refused files first seen in its processes
	mapped     int   // files that its processes map

	spent      time.Duration // time that counts against its share
	spentSince time.Time     // when spent was up to date
}

// affordable reports whether the owner may use more time now.
func (o *owner) affordable(now time.Time) bool {
	o.spent = max(0, o.spent-now.Sub(o.spentSince)/share)
	o.spentSince = now
	return o.spent < burst
}

// unused reports whether nothing refers to the owner any more.
func (o *owner) unused() bool {
	return o.processes == 0 && o.reported[ofFiles] == 0 && o.refusals == 0 && o.spent <= 0
}

// finder is what files are first seen in: a process, or the host's disk.
type finder struct {
	owner    *owner
	isDisk   bool  // files on the host's disk count against the global limits only
	reported quota // files first seen by this finder
}

// newOwner returns the owner whose cgroup has that path.
func newOwner(path string) *owner {
	o := &owner{name: path, class: limits.ClassSystem}
	switch {
	case host.ParseCgroup(path).ContainerID != "":
		o.class = limits.ClassContainer
	case strings.HasSuffix(path, "/user-0.slice"):
		o.class = limits.ClassRoot
	case strings.HasPrefix(path, "/user.slice"):
		o.class = limits.ClassUser
	}
	return o
}
