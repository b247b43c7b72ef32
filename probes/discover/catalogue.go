// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/crau-otel/crau-otel/probes/host"
)

const (
	maxFacts    = 1 << 18 // files known, most of them to have no probes
	maxRefusals = 256     // refused files remembered, per owner
)

// fact records what was found in an inode.
type fact struct {
	changed int64
	entry   *entry // nil if it has no probes
	seen    time.Time
}

// event is a call of Found or Gone that is due.
type event struct {
	entry *entry
	gone  bool
}

// catalogue knows which files have probes, and decides which of them are reported.
type catalogue struct {
	log      *slog.Logger
	rules    *rules
	facts    map[host.Inode]fact
	files    map[host.Inode]*entry // by entry.inode; reported or refused
	reported quota
	events   []event // to deliver
}

func newCatalogue(log *slog.Logger, r *rules) *catalogue {
	return &catalogue{log: log, rules: r, facts: make(map[host.Inode]fact), files: make(map[host.Inode]*entry)}
}

// learn adds a finding and returns its entry, nil if the file has no probes. An explicit file is reported whatever the
// limits say.
func (c *catalogue) learn(f finding, by *finder, explicit bool) *entry {
	if f.entry == nil {
		c.remember(f, nil)
		return nil
	}
	e := c.files[f.entry.inode()]
	if e != nil && (e.refused != "" || !e.same(f.entry)) {
		c.retire(e) // it is judged again, or the inode has another file now
		e = nil
	}
	if e != nil {
		// The file changed in a way that does not matter here, or this is another path to it.
		f.discard()
		e.explicit = e.explicit || explicit
		c.remember(f, e)
		return e
	}

	e = f.entry
	e.finder, e.owner, e.explicit = by, by.owner, explicit
	if e.refused == "" && !explicit {
		if e.refused = c.overLimit(e.sites, by); e.refused != "" {
			e.limited = true
			c.logRefused(e)
		}
	}
	if e.refused != "" {
		f.discard()
		e.open = nil
		e.Probes = nil // may be large
		if e.owner.refusals >= maxRefusals {
			c.remember(f, nil)
			return nil
		}
		e.owner.refusals++
	} else {
		c.charge(e, 1)
		c.events = append(c.events, event{entry: e})
	}
	c.files[e.inode()] = e
	c.remember(f, e)
	return e
}

// logRefused warns about the first file of an owner that is refused.
func (c *catalogue) logRefused(e *entry) {
	level := slog.LevelDebug
	if !e.owner.warned {
		e.owner.warned, level = true, slog.LevelWarn
	}
	c.log.Log(context.Background(), level, "file with probes left out", "file", e.Path, "cgroup", e.Cgroup, "reason", e.refused)
}

// charge counts a reported entry, or with -1 takes it back.
func (c *catalogue) charge(e *entry, sign int) {
	for _, q := range []*quota{&c.reported, &e.owner.reported, &e.finder.reported} {
		q.add(sign, sign*e.sites)
	}
}

// overLimit returns which limit keeps a file with that many sites from being reported, "" if none does. A process gets
// only part of its owner's limits: one with very many such files is suspicious.
func (c *catalogue) overLimit(sites int, by *finder) string {
	for _, limit := range []struct {
		reported     quota
		files, sites int
		scope        string
	}{
		{c.reported, c.rules.MaxFiles, c.rules.MaxSites, ""},
		{by.owner.reported, c.rules.MaxFilesPerContainer, c.rules.MaxSitesPerContainer, " per container"},
		{by.reported, fraction(c.rules.MaxFilesPerContainer, 4), fraction(c.rules.MaxSitesPerContainer, 2), " per process"},
	} {
		switch {
		case limit.scope != "" && by.isDisk:
		case limit.files >= 0 && limit.reported.files+1 > limit.files:
			return fmt.Sprintf("limit of %d files%s", limit.files, limit.scope)
		case limit.sites >= 0 && limit.reported.sites+sites > limit.sites:
			return fmt.Sprintf("limit of %d sites%s", limit.sites, limit.scope)
		}
	}
	return ""
}

// fraction returns one part in so many of a limit, rounded up. Of no limit it returns none.
func fraction(limit, parts int) int {
	if limit < 0 {
		return limit
	}
	return (limit + parts - 1) / parts
}

// remember notes which entry an inode is.
func (c *catalogue) remember(f finding, e *entry) {
	before, isKnown := c.facts[f.inode]
	if !isKnown && len(c.facts) >= maxFacts && e == nil {
		return
	}
	if old := before.entry; old != nil && old != e {
		old.aliases = slices.DeleteFunc(old.aliases, func(i host.Inode) bool { return i == f.inode })
		if len(old.aliases) == 0 {
			c.retire(old)
		}
	}
	c.facts[f.inode] = fact{f.changed, e, time.Now()}
	if e != nil && before.entry != e {
		e.aliases = append(e.aliases, f.inode)
	}
}

// recall returns what was found in an inode. If ok is false, the file must be examined, perhaps again.
func (c *catalogue) recall(i host.Inode, changed int64, by *finder) (e *entry, ok bool) {
	f, isKnown := c.facts[i]
	if !isKnown || f.changed != changed {
		return nil, false
	}
	f.seen = time.Now()
	c.facts[i] = f
	if f.entry != nil && f.entry.limited && c.overLimit(f.entry.sites, by) == "" {
		return nil, false
	}
	return f.entry, true
}

// retire forgets an entry. If it was reported, so is its end.
func (c *catalogue) retire(e *entry) {
	if c.files[e.inode()] != e {
		return
	}
	delete(c.files, e.inode())
	e.retired = true
	for _, i := range e.aliases {
		delete(c.facts, i)
	}
	if e.refused != "" {
		e.owner.refusals--
		return
	}
	c.charge(e, -1)
	c.events = append(c.events, event{entry: e, gone: true})
}

// forgetOld drops facts about files without probes that no process was seen to map for a while.
func (c *catalogue) forgetOld(now time.Time, age time.Duration) {
	for i, f := range c.facts {
		if f.entry == nil && now.Sub(f.seen) > age {
			delete(c.facts, i)
		}
	}
}

// close closes all files.
func (c *catalogue) close() (errs []error) {
	for _, e := range c.files {
		if e.open != nil {
			errs = append(errs, e.open.Close())
		}
	}
	for _, e := range c.events {
		if e.gone {
			errs = append(errs, e.entry.open.Close())
		}
	}
	return errs
}
