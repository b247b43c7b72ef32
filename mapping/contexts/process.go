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

	// Trust is what Config.Finished knew about the process, until boot time TrustExpires, in ns; 0 if it knows nothing yet.
	Trust        shape.ProcessTrust
	TrustExpires uint64

	// Signed has the sides on which a TLS handshake of the process had a signature. Config.Finished sets it.
	Signed shape.Sides

	threads      map[uint32]*thread
	sweepAt      int     // number of threads at which those without contexts are removed
	newestThread *thread // the one of threads whose event came last; nil if unknown
	// sessions has the unfinished handshakes by the library's session, where the library reports it.
	sessions map[key]*tree
	trees    map[*tree]struct{} // unfinished
	owner    *owner
	age      *list.Element // in owner.processes
	lost     uint64        // hits that the kernel lost so far
	losses   int           // how often that number grew
}

// Owner returns whose share of the limits the process counts against.
func (p *Process) Owner() Owner { return p.owner.Owner }

// noteLost notes that hits were lost: any tree that is open may lack some.
func (p *Process) noteLost(lost uint64) {
	if lost > p.lost {
		p.losses++
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
	p := t.process(ev.PID, ev.Process)
	if p.Record.Runs(ev.Process) {
		return // it was announced just now, or again since the kernel had forgotten it
	}
	program, o := t.cfg.Identify(ev.PID, ev.Process), t.shares.owner(ev.PID, ev.Process)
	if p.Program != program || p.owner != o {
		t.finishAll(p, shape.EndExit)
		p.Program, p.Signed = program, 0
	}
	p.Record = ev.Process // not before: the trees that ended are of who it was
	p.TrustExpires = 0
	if p.owner != o {
		t.shares.removeProcess(p)
		t.shares.addProcess(p, o)
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

// process returns the process with that id and marks it as the most recently active. A new process gets the record.
func (t *Tracker) process(pid uint32, record event.Process) *Process {
	if p := t.lookup(pid); p != nil {
		p.owner.processes.MoveToBack(p.age)
		return p
	}
	o := t.shares.owner(pid, record)
	for t.shares.lacksProcess(o) {
		t.evictProcess(t.shares.processVictim(o))
		o = t.shares.owner(pid, record) // it may have been the owner's only one
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

// exitProcess ends the trees of a process that ended, and removes it.
func (t *Tracker) exitProcess(p *Process) {
	t.finishAll(p, shape.EndExit)
	t.forget(p)
}

// evictProcess evicts the trees of a process, and removes it.
func (t *Tracker) evictProcess(p *Process) {
	t.stats.Evictions[LimitProcesses][p.owner.Class] += uint64(t.finishAll(p, shape.EndEvicted))
	t.forget(p)
}

// forget removes a process without trees.
func (t *Tracker) forget(p *Process) {
	t.shares.removeProcess(p)
	delete(t.processes, p.PID)
	if t.newestProcess == p {
		t.newestProcess = nil
	}
}

func (t *Tracker) thread(ev *event.Event) *thread {
	p, id := t.process(ev.PID, event.Process{}), ev.TID
	if fromWire(ev) {
		id |= wireThread
	}
	if th := p.newestThread; th != nil && th.id == id {
		return th
	}
	th, ok := p.threads[id]
	if !ok {
		if len(p.threads) >= p.sweepAt {
			p.sweepThreads()
		}
		th = &thread{
			id: id, process: p, open: make(map[uint64]*context), waiting: make(map[key][]*tree),
		}
		p.threads[id] = th
	}
	p.newestThread = th
	return th
}

// maxIdleThreads is about how many threads without an open context are kept.
const maxIdleThreads = 256

// sweepThreads removes the threads that have nothing open, such as those that only reported sessions. Its cost is spread
// over the threads that come until the next time.
func (p *Process) sweepThreads() {
	for id, th := range p.threads {
		if len(th.open) == 0 {
			delete(p.threads, id)
		}
	}
	p.newestThread = nil
	p.sweepAt = 2*len(p.threads) + maxIdleThreads
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
