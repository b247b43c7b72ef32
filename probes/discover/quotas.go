// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/crau-otel/crau-otel/limits"
)

// What is reported is bounded in all, per owner and per process. An owner's newest files are refused at its own bounds. At
// the bounds in all, the owner that uses most loses its newest file, so that an owner that uses less than its share, which is
// the bound divided by the owners that want more, loses nothing. One part of each bound is kept for files that only root can
// write.

const (
	reserve     = 8                // part, as a divisor, of the bounds in all that only trusted files may use
	remindEvery = 30 * time.Second // how often it is checked whether files are still refused
)

// resource is what a reported file uses.
type resource int

const (
	ofFiles resource = iota
	ofSites
	ofDescriptors
	resources
)

// String returns the resource as the reason of a refusal has it.
func (r resource) String() string { return [...]string{"files", "sites", "descriptors"}[r] }

// quota counts what reported files use.
type quota [resources]int

// add adds another quota that many times, which may be negative.
func (q *quota) add(other quota, times int) {
	for r := range q {
		q[r] += times * other[r]
	}
}

// bound is one limit on one resource.
type bound struct {
	limit limits.Limit
	of    resource
	most  int // negative: none
	scope string
}

// reason says that the bound keeps a file from being reported.
func (b *bound) reason() string { return fmt.Sprintf("limit of %d %s%s", b.most, b.of, b.scope) }

// Costs says how many file descriptors the owner of a Discoverer needs to attach to a file, in addition to the one by which the
// Discoverer holds the file open.
type Costs struct{ PerFile, PerSite int }

// working returns how many of all descriptors are kept for looking at files.
func working(all int) int {
	if all < 0 {
		return 4 * maxPerTurn
	}
	return min(all/4, 4*maxPerTurn)
}

// forFiles returns how many of all descriptors reported files may use.
func forFiles(all int) int {
	if all < 0 {
		return all
	}
	return all - working(all)
}

// quotas enforces the bounds on what is reported.
type quotas struct {
	log     *slog.Logger
	monitor *limits.Monitor
	rules   *rules
	costs   Costs

	descriptors int // bound of the descriptors; negative: none
	all         quota
	distrusted  quota // of these, files that not only root can write
	users       map[*owner]struct{}
	next        uint64    // number of the next reported entry
	reminded    time.Time // when refused files were last logged
	freed       bool      // something was reported as gone since refused files were last tried again
}

// need returns what a file uses.
func (q *quotas) need(e *entry) quota {
	return quota{1, e.sites, 1 + q.costs.PerFile + e.sites*q.costs.PerSite}
}

// charge counts a reported entry, or with -1 takes it back.
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

// judge counts a reported entry among those that not only root can write, or no more, as change makes it.
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

// exceeded returns the bound that keeps a file from being reported, nil if there is none or others can make room. A process
// gets only part of its owner's limits: one with very many such files is suspicious.
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

// full returns the bound in all that leaves no room for a file, nil if there is room.
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

// fraction returns one part in so many of a limit, rounded up. Of no limit it returns none.
func fraction(limit, parts int) int {
	if limit < 0 {
		return limit
	}
	return (limit + parts - 1) / parts
}

// use returns what an owner uses of a resource, as far as it counts against a file.
func (o *owner) use(e *entry, of resource) int {
	if e.RootOnly() {
		return o.reported[of]
	}
	return o.distrusted[of]
}

// largest returns the owner that uses most of a resource, nil if the file's owner would use as much with the file.
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

// logRefused counts a refused file, and warns if that is due. With n 0 the file was counted before.
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
