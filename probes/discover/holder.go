// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"github.com/crau-otel/crau-otel/limits"
	"github.com/crau-otel/crau-otel/probes/host"
)

// maxExecuted is how many reports of executed programs may wait for the holder.
const maxExecuted = 1024

// holder opens executed programs as soon as Notify reports them, without waiting for a pass.
type holder struct {
	inbox    *inbox
	helpers  *host.Helpers
	locator  *locator
	misses   *misses
	executed chan Executed
	stop     chan struct{}
	done     chan struct{}
}

func newHolder(b *inbox, s *search) *holder {
	h := &holder{
		inbox: b, helpers: s.helpers, locator: s.turns.locator, misses: s.misses, executed: make(chan Executed, maxExecuted),
		stop: make(chan struct{}), done: make(chan struct{}),
	}
	go h.run()
	return h
}

// close stops the holder and waits for its goroutine.
func (h *holder) close() {
	close(h.stop)
	<-h.done
}

func (h *holder) run() {
	defer close(h.done)
	for {
		var e Executed
		select {
		case <-h.stop:
			return
		case e = <-h.executed:
		}
		h.hold(e)
	}
}

// hold opens the program that a process has executed and adds it to the inbox. If the rules disable discovery, it adds
// only the process.
func (h *holder) hold(e Executed) {
	pid := e.Process
	if !h.inbox.searching.Load() {
		h.inbox.add(pid)
		return
	}
	cgroup, err := pid.CgroupPath()
	if err != nil {
		h.miss(e)
		return
	}
	user, err := pid.User()
	if err != nil {
		h.miss(e)
		return
	}
	owner, _ := h.locator.locate(user, cgroup)
	var p *program
	answered := h.helpers.Ask(&host.Question{
		Subject: host.Subject{Process: pid, Owner: owner},
		Urgent:  true,
		Ask:     func() { p, err = hold(pid, cgroup) },
		Answered: func() {
			switch {
			case err != nil:
				h.miss(e)
			case !h.inbox.addProgram(p):
				p.close()
			}
		},
	})
	if answered == 0 {
		h.inbox.add(pid)
	}
}

// miss counts a program that ended before it could be opened.
func (h *holder) miss(e Executed) {
	name, class := h.locator.locateNumber(e.User, e.Cgroup)
	h.misses.note(limits.Owner{Name: name, Class: class})
}
