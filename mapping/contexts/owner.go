// SPDX-License-Identifier: Apache-2.0

package contexts

import (
	"container/list"
	"fmt"

	"github.com/crau-otel/crau-otel/tracer/event"
)

// Every program can open contexts, as many as it likes. What one owner opens may only cost its own trees: over a limit,
// the owner that uses most of it loses the tree that is idle longest, or the process that is silent longest. So an owner
// that uses less than its share, which is the limit divided by the owners that want more, loses nothing. An eighth of
// each limit is kept for owners of class root.

// reserve is the part of each limit, as a divisor, that only owners of class root may use.
const reserve = 8

// OwnerClass is what kind of user an owner is.
type OwnerClass uint8

// The classes. Which owners are of which class is for Config.Owner to decide.
const (
	ClassUser OwnerClass = iota // also those about whom nothing is known
	ClassRoot
	ClassSystem
	ClassContainer
	classes
)

// String returns the class as metrics and logs have it.
func (c OwnerClass) String() string {
	switch c {
	case ClassUser:
		return "user"
	case ClassRoot:
		return "root"
	case ClassSystem:
		return "system"
	case ClassContainer:
		return "container"
	}
	return fmt.Sprintf("class %d", uint8(c))
}

// Owner is whose share of the limits a process counts against.
type Owner struct {
	ID    string // equal for processes that share
	Class OwnerClass
}

// OwnerByUser returns the owner of a process if only its user counts: each user has a share of its own.
func OwnerByUser(_ uint32, record event.Process) Owner {
	if record == (event.Process{}) {
		return Owner{ID: "unknown"}
	}
	return Owner{fmt.Sprint("uid ", record.UID), ClassOfUser(record.UID)}
}

// ClassOfUser returns the class of a user outside of containers. The ranges are those of systemd's UIDS-GIDS document.
func ClassOfUser(uid uint32) OwnerClass {
	switch {
	case uid == 0:
		return ClassRoot
	case uid < 1000, uid >= 61184 && uid <= 65519: // the latter are those that systemd makes up for a service
		return ClassSystem
	}
	return ClassUser
}

// Limit is a limit that trees are evicted for.
type Limit uint8

// The limits.
const (
	LimitContexts Limit = iota
	LimitBytes
	LimitTree
	LimitProcesses
	limits
)

// String returns the limit as metrics and logs have it.
func (l Limit) String() string {
	switch l {
	case LimitContexts:
		return "open_contexts"
	case LimitBytes:
		return "open_bytes"
	case LimitTree:
		return "tree_spans"
	case LimitProcesses:
		return "processes"
	}
	return fmt.Sprintf("limit %d", uint8(l))
}

// Evictions counts trees that were ended by a limit.
type Evictions [limits][classes]uint64

// Each calls f for each limit and class of owners.
func (e *Evictions) Each(f func(limit Limit, class OwnerClass, trees uint64)) {
	for l := range e {
		for c, trees := range e[l] {
			f(Limit(l), OwnerClass(c), trees)
		}
	}
}

// Total returns the sum of all.
func (e *Evictions) Total() (total uint64) {
	e.Each(func(_ Limit, _ OwnerClass, trees uint64) { total += trees })
	return total
}

// ClassCounts counts something by the class of the owner whose it is.
type ClassCounts [classes]uint64

// Each calls f for each class of owners.
func (c ClassCounts) Each(f func(class OwnerClass, n uint64)) {
	for class, n := range c {
		f(OwnerClass(class), n)
	}
}

// Total returns the sum of all.
func (c ClassCounts) Total() (total uint64) {
	c.Each(func(_ OwnerClass, n uint64) { total += n })
	return total
}

// usage is how much of the limits is in use.
type usage struct{ contexts, bytes, processes int }

func (u *usage) add(contexts, bytes int) {
	u.contexts += contexts
	u.bytes += bytes
}

// owner is an owner with processes.
type owner struct {
	Owner
	usage
	trees     treeList   // idle longest first
	processes *list.List // of *Process, silent longest first

	group                   *owners // those that the owner competes with
	memoryRank, processRank rank
	changed                 bool // memoryRank is not up to date
	changedAt               int  // with changed: index in owners.changed
}

// owners has the owners of some classes, ranked by what they use.
type owners struct {
	usage
	byMemory, byProcesses ranking
	changed               []*owner // whose rank by memory is not up to date
}

// owner returns the owner of a process.
func (t *Tracker) owner(pid uint32, record event.Process) *owner {
	of := t.cfg.Owner(pid, record)
	o := t.owners[of]
	if o == nil {
		o = &owner{Owner: of, processes: list.New(), group: &t.others}
		if of.Class == ClassRoot {
			o.group = &t.root
		}
		o.trees.which = byOwner
		t.owners[of] = o
		o.group.byMemory.add(o, &o.memoryRank)
		o.group.byProcesses.add(o, &o.processRank)
	}
	return o
}

// use notes that an owner has so many more contexts and bytes. Its rank is brought up to date when one is asked for, which is
// at a limit only.
func (o *owner) use(contexts, bytes int) {
	o.add(contexts, bytes)
	o.group.add(contexts, bytes)
	if !o.changed {
		o.changed, o.changedAt = true, len(o.group.changed)
		o.group.changed = append(o.group.changed, o)
	}
}

// forgetChange removes an owner that goes from those whose rank is not up to date.
func (g *owners) forgetChange(o *owner) {
	if !o.changed {
		return
	}
	last := len(g.changed) - 1
	moved := g.changed[last]
	g.changed[o.changedAt], moved.changedAt = moved, o.changedAt
	g.changed[last] = nil
	g.changed = g.changed[:last]
	o.changed = false
}

// memory returns an owner's use of contexts or bytes, whichever is the larger part of its limit.
func (t *Tracker) memory(o *owner) uint64 {
	return max(uint64(o.contexts)*uint64(t.cfg.MaxBytes), uint64(o.bytes)*uint64(t.cfg.MaxContexts))
}

// largest returns the owner of a group that uses most memory, nil if there is none.
func (t *Tracker) largest(g *owners) *owner {
	for i, o := range g.changed {
		o.changed, g.changed[i] = false, nil
		g.byMemory.set(&o.memoryRank, t.memory(o))
	}
	g.changed = g.changed[:0]
	return g.byMemory.top()
}

// addProcess adds a process to its owner.
func (t *Tracker) addProcess(p *Process, o *owner) {
	p.owner, p.age = o, o.processes.PushBack(p)
	o.usage.processes++
	o.group.processes++
	o.group.byProcesses.set(&o.processRank, uint64(o.usage.processes))
}

// removeProcess removes a process without trees from its owner, and with the last one the owner.
func (t *Tracker) removeProcess(p *Process) {
	o := p.owner
	g := o.group
	o.processes.Remove(p.age)
	o.usage.processes--
	g.processes--
	if o.usage.processes > 0 {
		g.byProcesses.set(&o.processRank, uint64(o.usage.processes))
		return
	}
	g.byProcesses.remove(&o.processRank)
	g.byMemory.remove(&o.memoryRank)
	g.forgetChange(o)
	delete(t.owners, o.Owner)
}

// allowed returns how much of a limit owners outside of class root may use together.
func allowed(limit int) int { return limit - limit/reserve }

// over returns the limit that would be exceeded with so many more contexts of o's, if any.
func (t *Tracker) over(o *owner, more int) (limit Limit, exceeded bool) {
	all, others := t.root.usage, &t.others.usage
	all.add(others.contexts, others.bytes)
	moreOthers := more
	if o.Class == ClassRoot {
		moreOthers = 0
	}
	switch {
	case all.contexts+more > t.cfg.MaxContexts, moreOthers > 0 && others.contexts+moreOthers > allowed(t.cfg.MaxContexts):
		return LimitContexts, true
	case all.bytes > t.cfg.MaxBytes, others.bytes > allowed(t.cfg.MaxBytes):
		return LimitBytes, true
	}
	return 0, false
}

// makeRoom evicts trees until so many more contexts may open on the thread, and data may be added.
func (t *Tracker) makeRoom(th *thread, more int) {
	for {
		limit, exceeded := t.over(th.process.owner, more)
		if !exceeded {
			return
		}
		tr := t.memoryVictim(th.process.owner, limit)
		if tr == nil {
			return // nothing is open: the limit is smaller than what is asked for
		}
		evicted := tr.thread
		t.evict(tr, limit)
		if evicted != th {
			t.forgetThread(evicted)
		}
	}
}

// memoryVictim returns the tree to evict so that o may use more: of the owner that uses most, among those outside of
// class root if these exceed their part.
func (t *Tracker) memoryVictim(o *owner, limit Limit) *tree {
	top, root := t.largest(&t.others), t.largest(&t.root)
	exceeds := t.others.contexts >= allowed(t.cfg.MaxContexts)
	if limit == LimitBytes {
		exceeds = t.others.bytes > allowed(t.cfg.MaxBytes)
	}
	switch {
	case top == nil || top.trees.front == nil,
		root != nil && root.memoryRank.use > top.memoryRank.use && (!exceeds || o.Class == ClassRoot && limit == LimitContexts):
		top = root
	}
	if top == nil {
		return nil
	}
	return top.trees.front
}

// processVictim returns the process to evict so that o may have another one.
func (t *Tracker) processVictim(o *owner) *Process {
	top, root := t.others.byProcesses.top(), t.root.byProcesses.top()
	exceeds := o.Class != ClassRoot && t.others.processes >= allowed(t.cfg.MaxProcesses)
	if top == nil || root != nil && !exceeds && root.processRank.use > top.processRank.use {
		top = root
	}
	return top.processes.Front().Value.(*Process)
}
