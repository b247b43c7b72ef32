// SPDX-License-Identifier: Apache-2.0

package contexts

import "github.com/crau-otel/crau-otel/tracer/event"

// thread scopes context ids: the same id on another thread is another context.
type thread struct {
	id      uint32
	process *Process
	// open maps an id to the context of an unfinished tree that opened last. Contexts of other files with the same id
	// follow it.
	open map[uint64]*context
	// newest is the context that opened last.
	newest ref
	// session is the session that the library was last called for, until a handshake is assigned to it; 0 if none.
	session key
	// waiting maps the id and file of a root to the handshakes that may get further pieces, oldest first.
	waiting map[key][]*tree
}

// wireThread is a bit that marks the ids of the threads that hold contexts of package wire. Kernel thread ids are
// smaller, so no event of a program can name these contexts.
const wireThread = 1 << 31

// fromWire reports whether package wire emitted the event.
func fromWire(ev *event.Event) bool { return ev.File == event.Wire }

// thread returns the thread with that id.
func (p *Process) thread(id uint32) *thread {
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

// maxSameID bounds how many files can have a context with the same id open on one thread. The oldest becomes
// unreachable.
const maxSameID = 8

// key is a context id together with the file that uses it.
type key struct {
	id   uint64
	file uint32
}

func (c *context) key() key { return key{c.id, c.file} }

// ownContext returns the newest open context that the file itself opened with the id, or nil.
func (th *thread) ownContext(id uint64, file uint32) *context {
	for c := th.open[id]; c != nil; c = c.sameID {
		if c.file == file {
			return c
		}
	}
	return nil
}

// contextFor returns the context that a file means by an id: the file's own, else the one that another file opened
// last, or nil if there is none.
func (th *thread) contextFor(id uint64, file uint32) *context {
	if c := th.ownContext(id, file); c != nil {
		return c
	}
	return th.open[id]
}

// setContext makes c the context that its id refers to in its file.
func (th *thread) setContext(c *context) {
	if len(th.open) == 0 {
		th.process.threads[th.id] = th // the thread may have been forgotten with its last context
	}
	newest := th.open[c.id]
	th.open[c.id], c.sameID = c, newest
	for before, n := c, 1; before.sameID != nil; n++ {
		if other := before.sameID; other.file == c.file || n == maxSameID {
			before.sameID, other.sameID = other.sameID, nil
			return
		}
		before = before.sameID
	}
}

// removeContext makes c unreachable by its id, if it is still reachable.
func (th *thread) removeContext(c *context) {
	newest := th.open[c.id]
	switch {
	case newest != c:
		for before := newest; before != nil; before = before.sameID {
			if before.sameID == c {
				before.sameID = c.sameID
				break
			}
		}
	case c.sameID == nil:
		delete(th.open, c.id)
	default:
		th.open[c.id] = c.sameID
	}
	c.sameID = nil
}

// maxIdleThreads is approximately how many threads without an open context are kept.
const maxIdleThreads = 256

// sweepThreads removes the threads that have nothing open, such as those that only reported sessions. Its cost is
// spread over the threads that appear before the next sweep.
func (p *Process) sweepThreads() {
	for id, th := range p.threads {
		if len(th.open) == 0 {
			delete(p.threads, id)
		}
	}
	p.newestThread = nil
	p.sweepAt = 2*len(p.threads) + maxIdleThreads
}

// forgetIfEmpty removes a thread that has nothing open: the kernel does not report the exit of threads. A tree that moved
// to another thread may outlast its own, and then another one has that id.
func (th *thread) forgetIfEmpty() {
	if len(th.open) == 0 && th.process.threads[th.id] == th {
		delete(th.process.threads, th.id)
		if th.process.newestThread == th {
			th.process.newestThread = nil
		}
	}
}
