// SPDX-License-Identifier: Apache-2.0

package contexts

import (
	"container/list"

	"github.com/crau-otel/crau-otel/mapping/shape"
	"github.com/crau-otel/crau-otel/tracer/event"
)

// Process is an observed process.
type Process struct {
	PID     uint32
	Record  event.Process // zero until it arrives
	Program any           // what Config.Identify returned

	// Signed has the sides on which a TLS handshake of the process had a signature. Config.Finished sets it.
	Signed shape.Sides

	threads      map[uint32]*thread
	newestThread *thread // the one of threads whose event came last; nil if unknown
	// sessions has the unfinished handshakes by the library's session, where the library reports it.
	sessions map[key]*tree
	trees    map[*tree]struct{} // unfinished
	age      *list.Element      // in Tracker.byAge
	lost     uint64             // hits that the kernel lost so far
}

// noteLost marks all open trees if hits were lost, because any of them may lack some.
func (p *Process) noteLost(lost uint64) {
	if lost > p.lost {
		for t := range p.trees {
			t.root().incomplete = true
		}
	}
	p.lost = lost // smaller than before if the kernel forgot the process in between
}

// thread scopes context ids: the same id on another thread is another context.
type thread struct {
	id      uint32
	process *Process
	// open has, by id, the context of an unfinished tree that opened last. Those of other files follow it.
	open map[uint64]*context
	// newest is the context that opened last.
	newest ref
	// session is the session that a library was last called for, until a handshake is assigned to it; 0 if none.
	session key
	// waiting has, by the id and file of their roots, handshakes that may get further pieces, oldest first.
	waiting map[key][]*tree
}

// startProcess records the identity of a process, which changes with an exec.
func (t *Tracker) startProcess(ev *event.Event) {
	p := t.process(ev.PID)
	if p.Record.Runs(ev.Process) {
		return // the kernel had forgotten the process, and reports it again
	}
	p.Record = ev.Process
	program := t.cfg.Identify(ev.PID, ev.Process)
	if p.Program != program {
		t.finishAll(p, shape.EndExit)
		p.Program, p.Signed = program, 0
	}
}

// lookup returns the process with that id, nil if there is none.
func (t *Tracker) lookup(pid uint32) *Process {
	if p := t.newestProcess; p != nil && p.PID == pid {
		return p
	}
	p := t.processes[pid]
	if p != nil {
		t.newestProcess = p
	}
	return p
}

// process returns the process with that id and marks it as the most recently active. Beyond the limit, the process that
// is silent longest is evicted.
func (t *Tracker) process(pid uint32) *Process {
	if p := t.lookup(pid); p != nil {
		t.byAge.MoveToBack(p.age)
		return p
	}
	if len(t.processes) >= t.cfg.MaxProcesses {
		t.forget(t.byAge.Front().Value.(*Process), shape.EndEvicted)
	}
	p := &Process{
		PID:      pid,
		threads:  make(map[uint32]*thread),
		trees:    make(map[*tree]struct{}),
		sessions: make(map[key]*tree),
	}
	p.Program = t.cfg.Identify(pid, event.Process{})
	p.age = t.byAge.PushBack(p)
	t.processes[pid] = p
	return p
}

// forget ends a process's trees and removes it.
func (t *Tracker) forget(p *Process, reason shape.EndReason) {
	t.finishAll(p, reason)
	t.byAge.Remove(p.age)
	delete(t.processes, p.PID)
	if t.newestProcess == p {
		t.newestProcess = nil
	}
}

func (t *Tracker) thread(ev *event.Event) *thread {
	p := t.process(ev.PID)
	if th := p.newestThread; th != nil && th.id == ev.TID {
		return th
	}
	th, ok := p.threads[ev.TID]
	if !ok {
		th = &thread{
			id: ev.TID, process: p, open: make(map[uint64]*context), waiting: make(map[key][]*tree),
		}
		p.threads[ev.TID] = th
	}
	p.newestThread = th
	return th
}

// forgetThread removes a thread that has nothing open: the kernel does not report the exit of threads.
func (t *Tracker) forgetThread(th *thread) {
	if len(th.open) == 0 {
		delete(th.process.threads, th.id)
		if th.process.newestThread == th {
			th.process.newestThread = nil
		}
	}
}
