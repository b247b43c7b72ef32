// SPDX-License-Identifier: Apache-2.0

package contexts

import (
	"container/list"

	"github.com/crau-otel/crau-otel/tracer/event"
)

// A program can open any number of contexts, but only its own owner may lose trees as a result. When a limit is
// reached, the owner that uses the largest part of it loses the tree that has been idle longest, or the process that
// has been silent longest. An owner that uses less than its share loses nothing; the share is the limit divided by the
// number of owners that want more. An eighth of each limit is reserved for owners of class root.

// reserve is a divisor: limit/reserve of each limit can only be used by owners of class root.
const reserve = 8

// usage is how much of each limit is in use. In shares.limits, it is the limits themselves.
type usage struct{ contexts, bytes, processes int }

func (u *usage) add(contexts, bytes int) {
	u.contexts += contexts
	u.bytes += bytes
}

// owner is an [Owner] that has processes, with its use of the limits.
type owner struct {
	Owner
	usage
	trees     treeList   // open trees, idle longest first
	processes *list.List // list of *Process, silent longest first

	group                   *owners // group of owners that the owner is ranked in
	memoryRank, processRank rank
	changed                 bool // memoryRank has to be updated: see shares.largest
	changedAt               int  // index in owners.changed, if changed is set
}

// owners is a group of owners, ranked by what they use.
type owners struct {
	usage
	byMemory, byProcesses ranking
	changed               []*owner // owners whose memoryRank has to be updated
}

// shares knows what each owner uses, and selects what is evicted at a limit.
type shares struct {
	limits       usage
	classify     func(pid uint32, record event.Process) Owner
	owners       map[Owner]*owner // owners that have processes
	root, others owners           // owners of class root; owners of all other classes
}

func newShares(cfg *Config) shares {
	return shares{
		limits:   usage{contexts: cfg.MaxContexts, bytes: cfg.MaxBytes, processes: cfg.MaxProcesses},
		classify: cfg.Owner,
		owners:   make(map[Owner]*owner),
	}
}

// owner returns the owner of a process. It is created if it has no processes yet.
func (s *shares) owner(pid uint32, record event.Process) *owner {
	of := s.classify(pid, record)
	o := s.owners[of]
	if o == nil {
		o = &owner{Owner: of, processes: list.New(), group: &s.others}
		if of.Class == ClassRoot {
			o.group = &s.root
		}
		o.trees.which = byOwner
		s.owners[of] = o
		o.group.byMemory.add(o, &o.memoryRank)
		o.group.byProcesses.add(o, &o.processRank)
	}
	return o
}

// use adds to the contexts and bytes that an owner uses; negative numbers subtract. The owner's rank is updated when a
// limit is reached: see largest.
func (o *owner) use(contexts, bytes int) {
	o.add(contexts, bytes)
	o.group.add(contexts, bytes)
	if !o.changed {
		o.changed, o.changedAt = true, len(o.group.changed)
		o.group.changed = append(o.group.changed, o)
	}
}

// forgetChange removes o from g.changed, because o itself is being removed.
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

// memory returns how much of the limits on contexts and bytes an owner uses: the larger of the two fractions,
// multiplied by both limits to get an integer.
func (s *shares) memory(o *owner) uint64 {
	return max(uint64(o.contexts)*uint64(s.limits.bytes), uint64(o.bytes)*uint64(s.limits.contexts))
}

// largest returns the owner of a group that uses the most memory, or nil for an empty group. It updates the ranks
// first.
func (s *shares) largest(g *owners) *owner {
	for i, o := range g.changed {
		o.changed, g.changed[i] = false, nil
		g.byMemory.set(&o.memoryRank, s.memory(o))
	}
	g.changed = g.changed[:0]
	return g.byMemory.top()
}

// used returns how many contexts and bytes all owners use.
func (s *shares) used() usage {
	all, others := s.root.usage, &s.others.usage
	all.add(others.contexts, others.bytes)
	return all
}

// addProcess adds a process to its owner.
func (s *shares) addProcess(p *Process, o *owner) {
	p.owner, p.age = o, o.processes.PushBack(p)
	o.usage.processes++
	o.group.processes++
	o.group.byProcesses.set(&o.processRank, uint64(o.usage.processes))
}

// removeProcess removes a process from its owner. The process must not have trees. The owner is removed with its last
// process.
func (s *shares) removeProcess(p *Process) {
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
	delete(s.owners, o.Owner)
}

// allowed returns how much of a limit the owners outside class root may use together.
func allowed(limit int) int { return limit - limit/reserve }

// over returns the limit that is exceeded if o opens that many more contexts, if any. The limits are those on all
// owners, and the lower ones on all owners outside class root.
func (s *shares) over(o *owner, more int) (limit Limit, exceeded bool) {
	all, others := s.used(), &s.others.usage
	moreOthers := more
	if o.Class == ClassRoot {
		moreOthers = 0
	}
	switch {
	case all.contexts+more > s.limits.contexts, moreOthers > 0 && others.contexts+moreOthers > allowed(s.limits.contexts):
		return LimitContexts, true
	case all.bytes > s.limits.bytes, others.bytes > allowed(s.limits.bytes):
		return LimitBytes, true
	}
	return 0, false
}

// memoryVictim returns the tree to evict so that o may use more, or nil if none is open. It is the tree that has been
// idle longest of the owner that uses the most. If the owners outside class root use more than is allowed to them
// together, it belongs to the one of them that uses the most.
func (s *shares) memoryVictim(o *owner, limit Limit) *tree {
	top, root := s.largest(&s.others), s.largest(&s.root)
	exceeds := s.others.contexts >= allowed(s.limits.contexts)
	if limit == LimitBytes {
		exceeds = s.others.bytes > allowed(s.limits.bytes)
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

// lacksProcess reports whether a process must be evicted before o may have another one.
func (s *shares) lacksProcess(o *owner) bool {
	others := s.others.processes
	return s.root.processes+others >= s.limits.processes || o.Class != ClassRoot && others >= allowed(s.limits.processes)
}

// processVictim returns the process to evict so that o may have another one: the process that has been silent longest,
// of the owner with the most processes.
func (s *shares) processVictim(o *owner) *Process {
	top, root := s.others.byProcesses.top(), s.root.byProcesses.top()
	exceeds := o.Class != ClassRoot && s.others.processes >= allowed(s.limits.processes)
	if top == nil || root != nil && !exceeds && root.processRank.use > top.processRank.use {
		top = root
	}
	return top.processes.Front().Value.(*Process)
}
