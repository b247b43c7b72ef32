// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/crau-otel/crau-otel/limits"
)

// Reported files are limited globally, per owner and per process. At an owner's limit, further files of the owner are
// refused. At a global limit, the owner that uses the most loses its newest file. An owner that uses less than its
// share loses nothing; its share is the limit divided by the number of owners that want more. A part of each global
// limit is reserved for files that only root can write.

const (
	reserve     = 8                // divisor: 1/reserve of each global limit is for files that only root can write
	remindEvery = 30 * time.Second // interval of checks whether files are still refused
)

// resource is something that reported files use and that is limited.
type resource int

const (
	ofFiles resource = iota
	ofSites
	ofDescriptors
	resources
)

// String returns the name of the resource for reasons of refusals.
func (r resource) String() string { return [...]string{"files", "sites", "descriptors"}[r] }

// quota is an amount of each resource.
type quota [resources]int

// add adds another quota, multiplied by times, which may be negative.
func (q *quota) add(other quota, times int) {
	for r := range q {
		q[r] += times * other[r]
	}
}

// bound is one limit on one resource.
type bound struct {
	limit limits.Limit
	of    resource
	most  int    // negative if there is no limit
	scope string // " per container", " per process" or, for a global limit, ""
}

// reason describes the bound as the reason why a file is refused.
func (b *bound) reason() string { return fmt.Sprintf("limit of %d %s%s", b.most, b.of, b.scope) }

// Costs is how many file descriptors the owner of a Discoverer needs to attach to a file, in addition to the one with
// which the Discoverer holds the file open.
type Costs struct{ PerFile, PerSite int }

// working returns how many of all descriptors are reserved for looking at files. all is negative if there is no limit.
func working(all int) int {
	if all < 0 {
		return 4 * maxPerTurn
	}
	return min(all/4, 4*maxPerTurn)
}

// forFiles returns how many of all descriptors reported files may use. all and the result are negative if there is no
// limit.
func forFiles(all int) int {
	if all < 0 {
		return all
	}
	return all - working(all)
}

// quotas enforces the limits on what is reported.
type quotas struct {
	log     *slog.Logger
	monitor *limits.Monitor
	rules   *rules
	costs   Costs

	descriptors int                 // limit on descriptors; negative if there is none
	all         quota               // what all reported files use
	distrusted  quota               // the part of all for files that others than root can write
	users       map[*owner]struct{} // owners with reported files
	next        uint64              // order of the next reported entry
	reminded    time.Time           // when refused files were last logged
	freed       bool                // a reported file was retired since the last retry of refused files
}

// need returns what a file uses if it is reported.
func (q *quotas) need(e *entry) quota {
	return quota{1, e.sites, 1 + q.costs.PerFile + e.sites*q.costs.PerSite}
}

// charge adds what a reported entry uses to the counts. If sign is -1, it subtracts that.
func (q *quotas) charge(e *entry, sign int) {
	need := q.need(e)
	counts := []*quota{&q.all, &e.owner.reported, &e.finder.reported}
	if !e.RootOnly() {
		counts = append(counts, &q.distrusted, &e.owner.distrusted)
	}
	for _, count := range counts {
		count.add(need, sign)
	}
	if sign > 0 {
		e.order = q.next
		q.next++
	} else {
		q.freed = true
	}
	if e.owner.reported[ofFiles] > 0 {
		q.users[e.owner] = struct{}{}
	} else {
		delete(q.users, e.owner)
	}
}

// judge calls change, which changes who can write the file of a reported entry, and adapts the counts.
func (q *quotas) judge(e *entry, change func()) {
	count := func(sign int) {
		if !e.RootOnly() {
			q.distrusted.add(q.need(e), sign)
			e.owner.distrusted.add(q.need(e), sign)
		}
	}
	count(-1)
	change()
	count(1)
}

// exceeded returns the bound that keeps a file from being reported. It returns nil if there is room, or if the files of
// other owners can make room. A process gets only a part of its owner's limits, because a process with very many files
// with probes is suspicious.
func (q *quotas) exceeded(e *entry, by *finder) *bound {
	if !by.isDisk {
		need, r := q.need(e), q.rules
		for _, b := range []struct {
			bound
			used int
		}{
			{bound{limits.OwnerFiles, ofFiles, r.MaxFilesPerContainer, " per container"}, by.owner.reported[ofFiles]},
			{bound{limits.OwnerSites, ofSites, r.MaxSitesPerContainer, " per container"}, by.owner.reported[ofSites]},
			{bound{limits.ProcessFiles, ofFiles, fraction(r.MaxFilesPerContainer, 4), " per process"}, by.reported[ofFiles]},
			{bound{limits.ProcessSites, ofSites, fraction(r.MaxSitesPerContainer, 2), " per process"}, by.reported[ofSites]},
		} {
			if b.most >= 0 && b.used+need[b.of] > b.most {
				return &b.bound
			}
		}
	}
	if full := q.full(e); full != nil && q.largest(e, by.owner, full.of) == nil {
		return full
	}
	return nil
}

// full returns the global bound that leaves no room for a file, or nil if there is room.
func (q *quotas) full(e *entry) *bound {
	need := q.need(e)
	for _, b := range []bound{
		{limits.Files, ofFiles, q.rules.MaxFiles, ""},
		{limits.Sites, ofSites, q.rules.MaxSites, ""},
		{limits.Descriptors, ofDescriptors, q.descriptors, ""},
	} {
		if b.most < 0 {
			continue
		}
		if q.all[b.of]+need[b.of] > b.most || !e.RootOnly() && q.distrusted[b.of]+need[b.of] > b.most-b.most/reserve {
			return &b
		}
	}
	return nil
}

// fraction divides a limit by parts, rounding up. A negative limit, which means no limit, stays the same.
func fraction(limit, parts int) int {
	if limit < 0 {
		return limit
	}
	return (limit + parts - 1) / parts
}

// use returns how much of a resource an owner uses for files that compete with e: all its files if only root can write
// e, else only files that others can write, too.
func (o *owner) use(e *entry, of resource) int {
	if e.RootOnly() {
		return o.reported[of]
	}
	return o.distrusted[of]
}

// largest returns the owner that uses the largest part of a resource. It returns nil if no other owner uses more than
// the file's own owner would use with the file.
func (q *quotas) largest(e *entry, of *owner, what resource) *owner {
	var top *owner
	most := of.use(e, what) + q.need(e)[what]
	for o := range q.users {
		if o != of && !o.isDisk && o.use(e, what) > most {
			top, most = o, o.use(e, what)
		}
	}
	return top
}

// logRefused counts a refused file, and logs a warning if one is due. n is 0 if the file was already counted.
func (q *quotas) logRefused(e *entry, b *bound, n uint64) {
	level := slog.LevelDebug
	since, due := q.monitor.Reached(b.limit, e.owner.inLimits(), n)
	if due {
		level = slog.LevelWarn
	}
	if due || n > 0 {
		q.log.Log(context.Background(), level, "file with probes left out", "file", e.Path, "cgroup", e.Cgroup,
			"owner", e.owner.name, "limit", b.limit, "reason", b.reason(), "count", since)
	}
}
