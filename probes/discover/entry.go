// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"context"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

const (
	maxFacts         = 1 << 18 // files known, most of them to have no probes
	maxRefusals      = 256     // refused files remembered, for each container
	minCheckInterval = 2 * time.Second
)

// inode is what stat says of a file.
type inode struct{ device, number uint64 }

// fact is what is known of an inode.
type fact struct {
	changed int64
	entry   *entry // nil: no probes
	seen    time.Time
}

// entry is a file with probes, whether reported or refused.
type entry struct {
	File
	sites           int
	buildID, soname string
	problems        []error
	refused         string     // why it is not reported
	limited         bool       // refused because of a limit, so that it may be reported later
	explicit        bool       // one of Config.Libraries
	mappers         int        // processes that map it
	space           uint64     // mount namespace of the process it was first seen in, 0 for the host's disk
	base            string     // root of that process, without a slash at the end
	finder          *process   // that it was first seen in, whose limits it counts against
	owner           *container // that finder was in
	aliases         []inode    // under which it is known
	checked         time.Time
	retired         bool
}

// finding is what looking at a file has found.
type finding struct {
	inode   inode
	changed int64
	entry   *entry // nil: no probes
	err     error  // the file could not be looked at; nothing else is set
	why     error  // it has no probes
}

// learn adds a finding to what is known and returns the entry, nil if the file
// has no probes.
func (d *Discoverer) learn(f finding, finder *process, explicit bool) *entry {
	if f.entry == nil {
		d.know(f, nil)
		return nil
	}
	at := inode{f.entry.Key.Device, f.entry.Key.Inode}
	e := d.files[at]
	if e != nil && (e.refused != "" || !e.same(f.entry)) {
		d.retire(e) // to be judged anew, or another file by now
		e = nil
	}
	if e != nil {
		// It changed in a way that does not matter here, such as a name less,
		// or this is another way to the same file.
		if f.entry.open != nil {
			f.entry.open.Close()
		}
		e.explicit = e.explicit || explicit
		d.know(f, e)
		return e
	}

	e = f.entry
	e.finder, e.explicit = finder, explicit
	if e.refused == "" && !explicit {
		if e.refused = d.overLimit(e.sites, finder); e.refused != "" {
			e.limited = true
			level := slog.LevelDebug // once is enough
			if !finder.container.warned {
				finder.container.warned, level = true, slog.LevelWarn
			}
			d.log.Log(context.Background(), level, "file with probes left out",
				"file", e.Path, "cgroup", e.Cgroup, "reason", e.refused)
		}
	}
	if e.refused != "" {
		if e.open != nil {
			e.open.Close()
			e.open = nil
		}
		e.Probes = nil // may be large
		if finder.container.refusals >= maxRefusals {
			d.know(f, nil)
			return nil
		}
		e.owner = finder.container
		e.owner.refusals++
	} else {
		e.owner = finder.container
		e.charge(d, 1)
		d.events = append(d.events, event{entry: e})
	}
	d.files[at] = e
	d.know(f, e)
	return e
}

// same says whether o, the same inode as was reported, has nothing new to say.
func (e *entry) same(o *entry) bool {
	return o.refused == "" && e.Trusted == o.Trusted && e.buildID == o.buildID &&
		reflect.DeepEqual(e.Probes.Sites, o.Probes.Sites)
}

// quota counts what is reported.
type quota struct{ files, sites int }

// charge counts e, or with -1 takes it back.
func (e *entry) charge(d *Discoverer, sign int) {
	for _, q := range []*quota{&d.reported, &e.owner.reported, &e.finder.reported} {
		q.files += sign
		q.sites += sign * e.sites
	}
}

// overLimit says which limit stands against reporting a file that a process
// maps, "" if none does. A process gets part of its container's limits only:
// one that has very many such files is not up to any good.
func (d *Discoverer) overLimit(sites int, finder *process) string {
	for _, limit := range []struct {
		have         quota
		files, sites int
		scope        string
	}{
		{d.reported, d.cfg.MaxFiles, d.cfg.MaxSites, ""},
		{finder.container.reported, d.cfg.MaxFilesPerContainer, d.cfg.MaxSitesPerContainer, " per container"},
		{finder.reported, part(d.cfg.MaxFilesPerContainer, 4), part(d.cfg.MaxSitesPerContainer, 2), " per process"},
	} {
		switch {
		case limit.scope != "" && finder == d.nobody:
		case limit.files >= 0 && limit.have.files+1 > limit.files:
			return fmt.Sprintf("limit of %d files%s", limit.files, limit.scope)
		case limit.sites >= 0 && limit.have.sites+sites > limit.sites:
			return fmt.Sprintf("limit of %d sites%s", limit.sites, limit.scope)
		}
	}
	return ""
}

// part returns one part in so many of a limit, rounded up; of none, none.
func part(limit, parts int) int {
	if limit < 0 {
		return limit
	}
	return (limit + parts - 1) / parts
}

// know notes what an inode is.
func (d *Discoverer) know(f finding, e *entry) {
	before, isKnown := d.known[f.inode]
	if !isKnown && len(d.known) >= maxFacts && e == nil {
		return
	}
	if old := before.entry; old != nil && old != e {
		old.aliases = slices.DeleteFunc(old.aliases, func(i inode) bool { return i == f.inode })
		if len(old.aliases) == 0 {
			d.retire(old)
		}
	}
	d.known[f.inode] = fact{f.changed, e, time.Now()}
	if e != nil && before.entry != e {
		e.aliases = append(e.aliases, f.inode)
		d.adopt(e, mapID{f.inode.device, f.inode.number})
		d.adopt(e, mapID{e.Key.Device, e.Key.Inode})
	}
}

// adopt makes processes that were looked at before know what one of the files
// is that they map.
func (d *Discoverer) adopt(e *entry, id mapID) {
	for _, p := range d.processes {
		if at, ok := find(p.files, id); ok {
			p.files[at].is(e)
		}
	}
}

// recall returns what is known of an inode. It has to be looked at, once more
// perhaps, where ok is false.
func (d *Discoverer) recall(i inode, changed int64, finder *process) (e *entry, ok bool) {
	f, isKnown := d.known[i]
	if !isKnown || f.changed != changed {
		return nil, false
	}
	f.seen = time.Now()
	d.known[i] = f
	if f.entry != nil && f.entry.limited && d.overLimit(f.entry.sites, finder) == "" {
		return nil, false
	}
	return f.entry, true
}

// retire forgets an entry. If it was reported, so is its end.
func (d *Discoverer) retire(e *entry) {
	at := inode{e.Key.Device, e.Key.Inode}
	if d.files[at] != e {
		return
	}
	delete(d.files, at)
	e.retired = true
	for _, i := range e.aliases {
		delete(d.known, i)
	}
	if e.refused != "" {
		e.owner.refusals--
	} else {
		e.charge(d, -1)
		d.events = append(d.events, event{entry: e, gone: true})
	}
	d.dispose(e.owner)
}

// forgetOld drops facts about files without probes that no process has been
// seen to map for two rounds of looking at all of them.
func (d *Discoverer) forgetOld(now time.Time) {
	for i, f := range d.known {
		if f.entry == nil && now.Sub(f.seen) > 2*rotation {
			delete(d.known, i)
		}
	}
}

// checkUnmapped retires the entries that no process maps and whose path no
// longer leads to them.
func (d *Discoverer) checkUnmapped(now time.Time) {
	var tasks []*task
	for _, e := range d.files {
		if e.mappers > 0 || e.explicit || now.Sub(e.checked) < minCheckInterval {
			continue
		}
		e.checked = now
		if e.refused != "" {
			d.retire(e)
			continue
		}
		home, ok := d.rootOf(e)
		if !ok {
			d.retire(e) // the last process of its mount namespace has ended
			continue
		}
		fd, reached := int(e.open.Fd()), false
		tasks = append(tasks, &task{
			device: e.Key.Device,
			run:    func() { reached = home.reaches(fd) },
			then: func() {
				if !reached && e.mappers == 0 && !e.explicit {
					d.retire(e)
				}
			},
		})
	}
	d.perform(tasks)
}

// rootOf returns the root folder that the entry's path starts from.
func (d *Discoverer) rootOf(e *entry) (root, bool) {
	if e.space == d.hostSpace || e.space == 0 {
		return d.hostRoot, true
	}
	for _, p := range d.processes {
		if p.space == e.space && p.base == e.base {
			return root{procPath(p.pid, "root"), p.base}, true
		}
	}
	return root{}, false
}

// reaches says whether the path of an open file still leads to it.
func (r root) reaches(fd int) bool {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Nlink == 0 {
		return false
	}
	path, deleted, err := pathOf(fd)
	return err == nil && !deleted && r.leadsTo(path, &st, false)
}
