// SPDX-License-Identifier: Apache-2.0

package discover

import "time"

const (
	burst = 4 * time.Second // time that an owner may use at once
	share = 20              // after that, an owner may use one part in so many of the time
)

// quota counts what is reported.
type quota struct{ files, sites int }

// add adds files with that many sites in all; both may be negative.
func (q *quota) add(files, sites int) {
	q.files += files
	q.sites += sites
}

// owner is who shares limits: a container, or a unit or user of the host.
type owner struct {
	name      string
	processes int
	reported  quota // files first seen in its processes
	refusals  int   // refused files first seen in its processes
	mapped    int   // files that its processes map
	warned    bool  // that a file was refused

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
	return o.processes == 0 && o.reported.files == 0 && o.refusals == 0 && o.spent <= 0
}

// finder is what files are first seen in: a process, or the host's disk.
type finder struct {
	owner    *owner
	isDisk   bool  // files on the host's disk count against the global limits only
	reported quota // files first seen by this finder
}
