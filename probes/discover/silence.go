// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"time"

	"github.com/crau-otel/crau-otel/limits"
	"github.com/crau-otel/crau-otel/probes/host"
)

const (
	minSilence = 10 * time.Second // shortest time for which a process is set aside
	maxSilence = 10 * time.Minute // longest time for which a process is set aside
)

// silence records how long a process is set aside because it did not answer.
type silence struct {
	until time.Time     // when the process may be asked again
	next  time.Duration // how long the process is set aside next time; 0 if it has always answered
}

// askProcess asks a question about a process and applies the answer, possibly much later. If the answer does not arrive
// in time, the process is set aside. If askProcess returns false, the question was not asked, and apply is never
// called.
func (s *search) askProcess(p *process, ask func(step func()), apply func()) (asked bool) {
	late, skipped := false, false
	q := &host.Question{Subject: p.subject(), Urgent: s.urgent}
	q.Ask = func() { ask(q.Step) }
	q.Answered = func() {
		apply()
		if late && !p.gone {
			p.silence.until, p.due = time.Time{}, time.Time{} // so that all of its maps are read
			s.turns.revisit(p)
		}
	}
	q.Skipped = func() { skipped = true }
	if s.helpers.Ask(q) > 0 {
		return true
	}
	late = true
	s.setAside(p, skipped)
	return !skipped
}

// setAside postpones questions about a process. The delay grows each time the process does not answer. blameless is set
// if the process was not asked, because too many earlier questions are unanswered; the delay does not grow then.
func (s *search) setAside(p *process, blameless bool) {
	wait := minSilence
	if blameless {
		count, due := s.catalogue.quotas.monitor.Reached(limits.Helpers, p.owner.inLimits(), 1)
		if due {
			s.log.Warn("processes not examined, because others of their owner do not answer", "owner", p.owner.name,
				"count", count)
		}
	} else {
		if p.silence.next == 0 {
			p.silence.next = minSilence
			s.log.Warn("process does not answer and is set aside; files that only it maps are not traced until it does",
				"pid", p.pid, "cgroup", p.cgroup, "executable", s.executableOf(p))
		}
		wait = p.silence.next
		p.silence.next = min(2*wait, maxSilence)
	}
	p.silence.until = time.Now().Add(wait)
	p.due = p.silence.until
	p.backlog, p.more = nil, false // the next look finds these files again
}

// executableOf returns the path of the program that a process executes, as the process sees it. It does not block.
func (s *search) executableOf(p *process) string {
	path, err := p.pid.Executable()
	if err != nil {
		return ""
	}
	return p.pid.Root().Within(path)
}
