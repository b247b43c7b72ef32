// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"errors"
	"log/slog"
	"os"
	"time"

	"github.com/crau-otel/crau-otel/probes/host"
)

const (
	rotation         = 2 * time.Minute // interval in which every process is examined at least once
	minCheckInterval = 2 * time.Second // shortest time between two resolutions of the path of one file
)

// hostView is the way in which the agent reaches the host's root folder.
type hostView struct {
	root      host.Root
	namespace uint64   // mount namespace that the root folder belongs to
	folder    *os.File // O_PATH descriptor that root refers to
}

// openHost opens the host's root folder.
func openHost(path string) (hostView, error) {
	root, folder, err := host.OpenHostRoot(path)
	if err != nil {
		return hostView{}, err
	}
	view := hostView{root: root, folder: folder, namespace: host.OwnMountNamespace()}
	if folder.Name() == host.InitRoot {
		view.namespace = host.Process(1).MountNamespace()
	}
	return view, nil
}

// search performs the passes over processes and disk. It is not safe for concurrent use.
type search struct {
	log       *slog.Logger
	rules     *rules
	view      hostView
	helpers   *host.Helpers
	catalogue *catalogue
	turns     *turns
	processes *processes
	resolver  *resolver
	held      held
	misses    *misses
	disk      *disk
	rewrites  *rewrites
	urgent    bool                               // the current questions are about a program that was just executed
	perTurn   int                                // files opened for one process before the next process's turn
	changed   func(visit func(pid uint32)) error // Config.Changed; may be nil
	failing   failing                            // retries after changed has failed
	swept     time.Time                          // when old facts were last removed from the catalogue
}

func newSearch(cfg *Config, r *rules, in *inbox) (*search, error) {
	s := &search{log: cfg.Log, rules: r, changed: cfg.Changed, misses: &misses{in, cfg.Limits, cfg.Log}}
	s.perTurn = max(1, min(maxPerTurn, working(cfg.Descriptors)/4))
	s.held.most = max(2, min(maxPrograms, working(cfg.Descriptors)/8))
	var err error
	if s.view, err = openHost(cfg.Root); err != nil {
		return nil, err
	}
	locator := newLocator()
	s.turns = newTurns(locator)
	if s.processes, err = newProcesses(s.turns, s.misses, cfg.Changed == nil); err != nil {
		return nil, errors.Join(err, s.view.folder.Close(), locator.close())
	}
	s.helpers = host.NewHelpers(host.HelpersConfig{Log: cfg.Log})
	s.catalogue = newCatalogue(cfg, r)
	s.resolver = newResolver(s)
	s.disk = newDisk(s)
	s.rewrites = newRewrites(s)
	return s, nil
}

func (s *search) close() error {
	s.helpers.Close()
	s.rewrites.close()
	for _, p := range s.processes.table {
		s.held.drop(p)
	}
	for _, q := range s.turns.queues {
		for _, p := range q.processes { // some have ended and are not in the table any more
			s.held.drop(p)
		}
	}
	errs := s.catalogue.close()
	return errors.Join(append(errs, s.processes.close(), s.view.folder.Close(), s.turns.locator.close())...)
}

// setRules applies new rules. It retires files that the rules exclude, and all refused files, so that the next
// examination decides again whether they are reported. It schedules all processes for examination.
func (s *search) setRules(r *rules) {
	s.rules, s.catalogue.quotas.rules = r, r
	clear(s.resolver.resolved)
	known := s.disk.libraries
	s.disk = newDisk(s)
	s.disk.libraries = known // file systems may not answer now, and the agent may have lost access to paths
	s.disk.searchLibraries()
	for _, e := range s.catalogue.files {
		if e.refused != "" || !e.explicit && !r.wants(e.Path) {
			s.catalogue.retire(e)
		}
	}
	for _, p := range s.processes.table {
		p.due = time.Time{}
		p.release()
		s.turns.revisit(p)
	}
}

// pass finds what has changed since the last pass, and schedules the processes that must be examined.
func (s *search) pass(now time.Time) error {
	s.rewrites.check()
	s.rewrites.visit(now)
	s.disk.searchLibraries()
	if s.rules.Enabled {
		s.disk.searchFolders(now)
	}
	if !s.visitChanged(now) {
		for _, p := range s.processes.table {
			s.processes.check(p, now)
		}
	}
	if err := s.processes.update(); err != nil {
		return err
	}
	s.retireUnmapped(now)
	s.retry(now)
	s.catalogue.remind(now)
	if now.Sub(s.swept) > rotation {
		s.swept = now
		s.catalogue.forgetOld(now, 2*rotation)
	}
	s.turns.renew(now)
	return nil
}

// visitChanged schedules the processes that Config.Changed reports. It returns false if Changed is not set or fails.
func (s *search) visitChanged(now time.Time) bool {
	if s.changed == nil || now.Before(s.failing.until) {
		return false
	}
	for _, p := range s.processes.table {
		if !now.Before(p.due) {
			s.turns.revisit(p)
		}
	}
	err := s.changed(func(pid uint32) {
		if p := s.processes.table[host.Process(pid)]; p != nil {
			s.turns.revisit(p)
		} else {
			s.processes.add(host.Process(pid), "")
		}
	})
	switch lasts := s.failing.next > 0; {
	case err != nil && !lasts:
		s.log.Warn("reports of changed processes failed; every pass examines each process until they work again", "error", err)
		s.failing.postpone(now)
	case err != nil:
		s.failing.postpone(now)
	case lasts:
		s.log.Info("reports of changed processes work again")
		s.failing = failing{}
	}
	return err == nil
}

// failing schedules retries of something that has stopped working.
type failing struct {
	until time.Time     // when to try again
	next  time.Duration // how long to wait after the next failure; 0 while it works
}

const (
	minFailing = 5 * time.Second
	maxFailing = 5 * time.Minute
)

// postpone schedules the next try after a failure.
func (f *failing) postpone(now time.Time) {
	f.next = max(f.next, minFailing)
	f.until = now.Add(f.next)
	f.next = min(2*f.next, maxFailing)
}

// retireUnmapped retires the entries of files that no process maps and to which their paths no longer lead.
func (s *search) retireUnmapped(now time.Time) {
	var questions []*host.Question
	for _, e := range s.catalogue.files {
		if e.mappers > 0 || e.explicit || now.Sub(e.checked) < minCheckInterval {
			continue
		}
		e.checked = now
		if e.limited != nil || e.status.Ino == 0 {
			s.catalogue.retire(e)
			continue
		}
		root, subject, ok := s.rootOf(e)
		if !ok {
			s.catalogue.retire(e) // the last process of its mount namespace has ended
			continue
		}
		reached := false
		reaches := func() bool { return root.LeadsTo(e.base+e.Path, &e.status) }
		if e.open != nil {
			fd := int(e.open.Fd())
			reaches = func() bool { return root.Reaches(fd) }
		}
		questions = append(questions, &host.Question{
			Subject: subject,
			Ask:     func() { reached = reaches() },
			Answered: func() {
				if !reached && e.mappers == 0 && !e.explicit {
					s.catalogue.retire(e)
				}
			},
		})
	}
	s.helpers.Ask(questions...)
}

// retry schedules another look at the processes that map evicted files or, once there is room, refused files. If such
// files were found on the disk, it makes the next pass search all library folders.
func (s *search) retry(now time.Time) {
	c := s.catalogue
	again := make(map[*entry]bool)
	for _, e := range c.evicted {
		again[e] = true
	}
	c.evicted = nil
	if c.quotas.freed {
		c.quotas.freed = false
		for _, e := range c.files {
			if e.limited != nil && c.quotas.exceeded(e, e.finder) == nil {
				again[e] = true
			}
		}
	}
	if len(again) == 0 {
		return
	}
	onDisk := false
	for e := range again {
		onDisk = onDisk || e.finder.isDisk
	}
	for _, p := range s.processes.table {
		for _, f := range p.files {
			if again[f.entry] {
				p.due = time.Time{}
				s.turns.revisit(p)
				break
			}
		}
	}
	if onDisk {
		s.disk.lookAgain(now)
	}
}
