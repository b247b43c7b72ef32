// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/crau-otel/crau-otel/limits"
	"github.com/crau-otel/crau-otel/probes/host"
)

const (
	maxNotified = 8192                  // processes that wait to be examined
	cooldown    = 50 * time.Millisecond // shortest time between two looks at a process because of notifications
)

// inbox collects notifications from other goroutines. It is safe for concurrent use.
type inbox struct {
	wake chan struct{} // signals that there is something to do; capacity 1

	mu       sync.Mutex // guards the fields below
	pids     map[host.Process]struct{}
	programs []*program // executed programs that wait to be examined
	overflow bool       // some notifications were dropped
	missed   uint64     // number of programs that ended before they could be examined

	searching atomic.Bool // Rules.Enabled of the current rules
}

// notes is the content of an inbox.
type notes struct {
	pids     map[host.Process]struct{}
	programs []*program
	overflow bool
}

func newInbox() *inbox {
	return &inbox{wake: make(chan struct{}, 1), pids: make(map[host.Process]struct{})}
}

// add adds a notification about a process.
func (b *inbox) add(pid host.Process) {
	b.mu.Lock()
	b.note(pid)
	b.mu.Unlock()
	b.nudge()
}

// note adds a notification about a process. b must be locked.
func (b *inbox) note(pid host.Process) {
	if len(b.pids) < maxNotified {
		b.pids[pid] = struct{}{}
	} else {
		b.overflow = true
	}
}

// addProgram adds an executed program and its process. If there are too many programs, it adds only the process and
// returns false.
func (b *inbox) addProgram(p *program) bool {
	b.mu.Lock()
	b.note(p.pid)
	fits := len(b.programs) < maxPrograms
	if fits {
		b.programs = append(b.programs, p)
	}
	b.mu.Unlock()
	b.nudge()
	return fits
}

// miss counts a program that ended before it could be examined.
func (b *inbox) miss() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.missed++
}

// nudge wakes up the goroutine that reads the inbox.
func (b *inbox) nudge() {
	select {
	case b.wake <- struct{}{}:
	default: // a wake-up is already pending
	}
}

// empty removes and returns the content of the inbox.
func (b *inbox) empty() notes {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := notes{b.pids, b.programs, b.overflow}
	b.pids, b.programs, b.overflow = make(map[host.Process]struct{}), nil, false
	return n
}

// close empties the inbox and closes the programs in it.
func (b *inbox) close() {
	for _, p := range b.empty().programs {
		p.close()
	}
}

// misses counts programs that ended before the files they use were known.
type misses struct {
	inbox  *inbox
	limits *limits.Monitor
	log    *slog.Logger
}

func (m *misses) note(of limits.Owner) {
	m.inbox.miss()
	if count, due := m.limits.Reached(limits.Unseen, of, 1); due {
		m.log.Warn("programs ended before their files were known; the files will be traced once they are found",
			"owner", of.Name, "owner_class", of.Class, "count", count)
	}
}
