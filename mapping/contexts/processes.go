// SPDX-License-Identifier: Apache-2.0

package contexts

import (
	"github.com/crau-otel/crau-otel/mapping/shape"
	"github.com/crau-otel/crau-otel/tracer/event"
)

// startProcess handles ProcessStart: it records what the process runs and its owner. If an exec changed either, the
// open trees end.
func (t *Tracker) startProcess(ev *event.Event) {
	p := t.process(ev.PID, ev.Process)
	if p.Record.Runs(ev.Process) {
		return // the record is known: it came with the new process, or before the kernel forgot the process
	}
	program, o := t.cfg.Identify(ev.PID, ev.Process), t.shares.owner(ev.PID, ev.Process)
	if p.Program != program || p.owner != o {
		t.finishAll(p, shape.EndExit)
		p.Program = program
	}
	p.Record = ev.Process // set after finishAll, because the trees that ended belong to the earlier program
	p.TrustExpires = 0
	if p.owner != o {
		t.shares.removeProcess(p)
		t.shares.addProcess(p, o)
	}
}

// lookup returns the process with that id, or nil if there is none.
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

// process returns the process with that id and marks it as the most recently active. If there is none, it creates one
// with the record.
func (t *Tracker) process(pid uint32, record event.Process) *Process {
	if p := t.lookup(pid); p != nil {
		p.owner.processes.MoveToBack(p.age)
		return p
	}
	o := t.shares.owner(pid, record)
	for t.shares.lacksProcess(o) {
		t.evictProcess(t.shares.processVictim(o))
		o = t.shares.owner(pid, record) // if the evicted process was the owner's last, the owner was removed too
	}
	p := &Process{
		PID:      pid,
		threads:  make(map[uint32]*thread),
		trees:    make(map[*tree]struct{}),
		sessions: make(map[key]*tree),
	}
	p.Record = record
	p.Program = t.cfg.Identify(pid, record)
	t.shares.addProcess(p, o)
	t.processes[pid] = p
	return p
}

// exitProcess finishes the trees of a process that has exited, and removes the process.
func (t *Tracker) exitProcess(p *Process) {
	t.finishAll(p, shape.EndExit)
	t.forget(p)
}

// evictProcess evicts the trees of a process, and removes the process.
func (t *Tracker) evictProcess(p *Process) {
	t.stats.Evictions[LimitProcesses][p.owner.Class] += uint64(t.finishAll(p, shape.EndEvicted))
	t.forget(p)
}

// forget removes a process. The process must not have trees.
func (t *Tracker) forget(p *Process) {
	t.shares.removeProcess(p)
	delete(t.processes, p.PID)
	if t.newestProcess == p {
		t.newestProcess = nil
	}
}

// thread returns the thread that an event is from. Events of package wire have separate threads: see wireThread.
func (t *Tracker) thread(ev *event.Event) *thread {
	p, id := t.process(ev.PID, event.Process{}), ev.TID
	if fromWire(ev) {
		id |= wireThread
	}
	return p.thread(id)
}
