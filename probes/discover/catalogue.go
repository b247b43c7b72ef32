// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"slices"
	"time"

	"github.com/crau-otel/crau-otel/limits"
	"github.com/crau-otel/crau-otel/probes/host"
	"github.com/crau-otel/crau-otel/probes/untraced"
)

// maxRefusals is how many refused files are remembered per owner.
const maxRefusals = 256

// fact records what was found in an inode.
type fact struct {
	changed int64
	entry   *entry // nil if the file has no probes
	owner   *owner // owner whose share of the facts this one uses; nil if the file has probes
	seen    time.Time
}

// event is a pending call of Found, Judged or Gone.
type event struct {
	entry *entry
	kind  eventKind
}

type eventKind int

const (
	found eventKind = iota
	judged
	gone
)

// catalogue knows which files have probes, and decides which of them are reported.
type catalogue struct {
	quotas   quotas
	most     int // limit on the number of facts
	refusals *refusals
	facts    map[host.Inode]fact
	files    map[host.Inode]*entry // reported and refused files, by entry.inode
	events   []event               // calls that are not made yet
	evicted  []*entry              // reported files that were retired since the last pass to make room for others
}

func newCatalogue(cfg *Config, r *rules) *catalogue {
	return &catalogue{
		quotas: quotas{
			log: cfg.Log, monitor: cfg.Limits, rules: r, costs: cfg.Costs, descriptors: forFiles(cfg.Descriptors),
			users: make(map[*owner]struct{}),
		},
		most:  cfg.MaxFacts,
		facts: make(map[host.Inode]fact), files: make(map[host.Inode]*entry),
		refusals: newRefusals(cfg.Log),
	}
}

// learn adds a finding and returns its entry, or nil if the file has no probes. An explicit file is reported regardless
// of limits.
func (c *catalogue) learn(f finding, by *finder, explicit bool) *entry {
	if f.entry == nil {
		c.remember(f, nil, by.owner)
		return nil
	}
	if c.refusals.isCopied(f.entry.Key) {
		f.entry.refuse(untraced.Copied, errCopied)
	}
	e := c.files[f.entry.inode()]
	count := uint64(1)
	if e != nil && e.limited != nil {
		count = 0 // the file was already counted when it was refused before
	}
	if e != nil && e.refused == "" {
		if like := e.compare(f.entry); like != different {
			if like == rejudged {
				c.judge(e, f.entry)
			}
			f.discard()
			e.explicit = e.explicit || explicit
			e.status = f.entry.status
			c.remember(f, e, by.owner)
			return e
		}
	}
	if e != nil {
		c.retire(e) // the file was refused before, or has changed
	}

	e = f.entry
	e.finder, e.owner, e.explicit = by, by.owner, explicit
	e.Owner, e.OwnerClass = by.owner.name, by.owner.class
	if e.refused == "" && !explicit {
		if e.limited = c.makeRoom(e, by); e.limited != nil {
			e.reason, e.refused = untraced.Limit, e.limited.reason()
			c.quotas.logRefused(e, e.limited, count)
		}
	}
	if e.refused != "" {
		f.discard()
		e.open = nil
		e.Probes = nil // may be large
		if e.owner.refusals >= maxRefusals {
			return nil // the file is not remembered, because other owners may find it too
		}
		e.owner.refusals++
		c.refusals.note(e)
	} else {
		c.quotas.charge(e, 1)
		c.events = append(c.events, event{e, found})
	}
	c.files[e.inode()] = e
	c.remember(f, e, by.owner)
	return e
}

// judge updates who can write the file of a reported entry. The file stays attached, so that a handshake in progress
// stays one tree.
func (c *catalogue) judge(e, now *entry) {
	c.quotas.judge(e, func() { e.Distrust, e.Trusted, e.Namespaced = now.Distrust, now.Trusted, now.Namespaced })
	c.events = append(c.events, event{e, judged})
}

// remember records the entry of an inode, which is nil for a file without probes. A file without probes is not recorded
// if its owner already has at least as many facts about such files as there is room for more.
func (c *catalogue) remember(f finding, e *entry, of *owner) {
	before, isKnown := c.facts[f.inode]
	if !isKnown && e == nil && of.facts >= c.most-len(c.facts) {
		return
	}
	if old := before.entry; old != nil && old != e {
		old.aliases = slices.DeleteFunc(old.aliases, func(i host.Inode) bool { return i == f.inode })
		if len(old.aliases) == 0 {
			c.retire(old)
		}
	}
	c.forget(f.inode)
	now := fact{changed: f.changed, entry: e, seen: time.Now()}
	if e == nil {
		now.owner = of
		of.facts++
	}
	c.facts[f.inode] = now
	if e != nil && before.entry != e {
		e.aliases = append(e.aliases, f.inode)
	}
}

// forget drops the fact about an inode, if any.
func (c *catalogue) forget(i host.Inode) {
	if f, ok := c.facts[i]; ok {
		delete(c.facts, i)
		if f.owner != nil {
			f.owner.facts--
		}
	}
}

// recall returns what was found in an inode. If ok is false, the file must be examined, possibly again.
func (c *catalogue) recall(i host.Inode, changed int64, by *finder) (e *entry, ok bool) {
	f, isKnown := c.facts[i]
	if !isKnown || f.changed != changed {
		return nil, false
	}
	f.seen = time.Now()
	c.facts[i] = f
	if f.entry != nil && f.entry.limited != nil && c.quotas.exceeded(f.entry, by) == nil {
		return nil, false
	}
	return f.entry, true
}

// reported returns the reported entry with a key, or nil if there is none.
func (c *catalogue) reported(k Key) *entry {
	if e := c.files[host.Inode{Device: k.Device, Number: k.Inode}]; e != nil && e.Key == k && e.refused == "" {
		return e
	}
	return nil
}

// retire removes an entry. If it was reported, it is reported as gone.
func (c *catalogue) retire(e *entry) {
	if c.files[e.inode()] != e {
		return
	}
	delete(c.files, e.inode())
	e.retired = true
	for _, i := range e.aliases {
		c.forget(i)
	}
	if e.refused != "" {
		e.owner.refusals--
		return
	}
	c.quotas.charge(e, -1)
	c.events = append(c.events, event{e, gone})
}

// makeRoom retires entries of other owners so that a file can be reported. It returns the bound that still prevents
// that, if any.
func (c *catalogue) makeRoom(e *entry, by *finder) *bound {
	if b := c.quotas.exceeded(e, by); b != nil {
		return b
	}
	for {
		b := c.quotas.full(e)
		if b == nil {
			return nil
		}
		from := c.quotas.largest(e, by.owner, b.of)
		if from == nil {
			return b
		}
		victim := c.newest(from, e.RootOnly())
		if victim == nil {
			return b
		}
		c.quotas.logRefused(victim, b, 1)
		c.evicted = append(c.evicted, victim)
		c.retire(victim)
	}
}

// newest returns the newest reported entry of an owner. Unless every is set, only files that others than root can write
// are considered. Files that the rules name are never considered.
func (c *catalogue) newest(of *owner, every bool) (newest *entry) {
	for _, e := range c.files {
		if e.owner == of && e.refused == "" && !e.explicit && (every || !e.RootOnly()) && (newest == nil || e.order > newest.order) {
			newest = e
		}
	}
	return newest
}

// remind logs warnings about files that a limit still keeps from being reported, when the warnings are due.
func (c *catalogue) remind(now time.Time) {
	if now.Sub(c.quotas.reminded) < remindEvery {
		return
	}
	c.quotas.reminded = now
	type subject struct {
		owner *owner
		limit limits.Limit
	}
	seen := make(map[subject]bool)
	for _, e := range c.files {
		if e.limited == nil || seen[subject{e.owner, e.limited.limit}] {
			continue
		}
		seen[subject{e.owner, e.limited.limit}] = true
		c.quotas.logRefused(e, e.limited, 0)
	}
}

// forgetOld drops facts about files without probes that were last seen longer than age ago.
func (c *catalogue) forgetOld(now time.Time, age time.Duration) {
	for i, f := range c.facts {
		if f.entry == nil && now.Sub(f.seen) > age {
			c.forget(i)
		}
	}
}

// untracedFiles counts the known files that are not traced, or only in part, by reason.
func (c *catalogue) untracedFiles() map[untraced.Reason]int {
	counts := make(map[untraced.Reason]int)
	for _, reason := range untraced.Reasons() {
		counts[reason.Reason] = 0
	}
	for _, e := range c.files {
		if reason, _ := e.whyUntraced(); reason != "" {
			counts[reason]++
		}
	}
	return counts
}

// close closes all files.
func (c *catalogue) close() (errs []error) {
	for _, e := range c.files {
		if e.open != nil {
			errs = append(errs, e.open.Close())
		}
	}
	for _, e := range c.events {
		if e.kind == gone {
			errs = append(errs, e.entry.open.Close())
		}
	}
	return errs
}
