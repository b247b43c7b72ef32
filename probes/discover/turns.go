// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"time"
)

// queue holds the processes of one owner that wait to be examined.
type queue struct {
	owner     *owner
	processes []*process
	ready     bool // whether the queue is in turns.ready
}

// turns decides which process is examined next. Owners take turns, regardless of the number of their processes. An
// owner that has used up its share of time has to wait.
type turns struct {
	locator *locator
	owners  map[string]*owner
	queues  map[*owner]*queue
	ready   []*queue // queues that take part, in the order of their turns
}

func newTurns(l *locator) *turns {
	return &turns{locator: l, owners: make(map[string]*owner), queues: make(map[*owner]*queue)}
}

// owner returns the owner of the processes that a user has in a cgroup.
func (t *turns) owner(user uint32, cgroup string) *owner {
	name, class := t.locator.locate(user, cgroup)
	o := t.owners[name]
	if o == nil {
		o = &owner{name: name, class: class}
		t.owners[name] = o
	}
	return o
}

// revisit schedules another examination of a process, which reads its maps again, at the end of its owner's queue.
func (t *turns) revisit(p *process) {
	p.stale = true
	t.enqueue(p)
}

// enqueue schedules an examination of a process in its owner's queue.
func (t *turns) enqueue(p *process) {
	if p.queued || p.gone {
		return
	}
	p.queued = true
	q := t.queues[p.owner]
	if q == nil {
		q = &queue{owner: p.owner}
		t.queues[p.owner] = q
	}
	q.processes = append(q.processes, p)
	t.admit(q, time.Now())
}

// admit lets a queue take part in the turns if it has processes and its owner has not used up its share of time.
func (t *turns) admit(q *queue, now time.Time) {
	if !q.ready && len(q.processes) > 0 && q.owner.affordable(now) {
		q.ready = true
		t.ready = append(t.ready, q)
	}
}

// next removes and returns the process whose turn it is, and its queue. Both are nil if no process waits. The caller
// must call admit for the queue afterwards.
func (t *turns) next() (*process, *queue) {
	if len(t.ready) == 0 {
		return nil, nil
	}
	q := t.ready[0]
	t.ready[0] = nil
	t.ready = t.ready[1:]
	q.ready = false
	p := q.processes[0]
	q.processes[0] = nil
	q.processes = q.processes[1:]
	p.queued = false
	return p, q
}

// renew lets owners take part again whose share of time has grown enough, and forgets owners that nothing refers to.
func (t *turns) renew(now time.Time) {
	for name, o := range t.owners {
		q := t.queues[o]
		if q != nil {
			t.admit(q, now)
			if len(q.processes) == 0 {
				delete(t.queues, o)
			}
		}
		o.affordable(now)
		if o.unused() && (q == nil || len(q.processes) == 0) {
			delete(t.owners, name)
		}
	}
}
