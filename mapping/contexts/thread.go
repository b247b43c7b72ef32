// SPDX-License-Identifier: Apache-2.0

package contexts

import "github.com/crau-otel/crau-otel/tracer/event"

// thread is the scope of context ids: the same id on another thread is another context.
type thread struct {
	id      uint32
	process *Process
	// open maps each id to the open context with this id that opened last. Open contexts with the same id from other files
	// follow as a list linked by context.sameID.
	open map[uint64]*context
	// newest is the context that opened last, or the handshake that this context was joined to.
	newest ref
	// session is the session that the library was last called for, until it is assigned to a handshake; its id is 0 if
	// there is none.
	session key
	// waiting maps the id and file of a root to the handshakes without sessions that may get further pieces, oldest first.
	waiting map[key][]*tree
}

// wireThread is a bit that marks the ids of the threads that hold contexts of package wire. Kernel thread ids are
// smaller, so no event of a program can name these contexts.
const wireThread = 1 << 31

// fromWire reports whether package wire emitted the event.
func fromWire(ev *event.Event) bool { return ev.File == event.Wire }

// thread returns the thread with that id. It is created if it does not exist.
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

// maxSameID bounds how many files can have an open context with the same id on one thread. Beyond it, events no longer
// reach the oldest of these contexts.
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

// contextFor returns the context that a file means by an id: the one that the file opened, else the one that another
// file opened last, or nil if there is none.
func (th *thread) contextFor(id uint64, file uint32) *context {
	if c := th.ownContext(id, file); c != nil {
		return c
	}
	return th.open[id]
}

// setContext makes c the context that its id refers to in events of its file.
func (th *thread) setContext(c *context) {
	if len(th.open) == 0 {
		th.process.threads[th.id] = th // the thread may have been forgotten when its last context ended
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

// removeContext makes c unreachable by its id. It does nothing if c is already unreachable.
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

// maxIdleThreads is approximately how many threads without an open context a process may have before sweepThreads
// removes them.
const maxIdleThreads = 256

// sweepThreads removes the threads without open contexts, such as those that only reported sessions. The next sweep
// happens when the number of threads has more than doubled, so that sweeping takes amortized constant time per new
// thread.
func (p *Process) sweepThreads() {
	for id, th := range p.threads {
		if len(th.open) == 0 {
			delete(p.threads, id)
		}
	}
	p.newestThread = nil
	p.sweepAt = 2*len(p.threads) + maxIdleThreads
}

// forgetIfEmpty removes a thread without open contexts, because the kernel does not report the exit of threads. If a
// handshake moved to another thread, its tree may outlast th. Another thread that has the same id by then is kept.
func (th *thread) forgetIfEmpty() {
	if len(th.open) == 0 && th.process.threads[th.id] == th {
		delete(th.process.threads, th.id)
		if th.process.newestThread == th {
			th.process.newestThread = nil
		}
	}
}
