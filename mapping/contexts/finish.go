// SPDX-License-Identifier: Apache-2.0

package contexts

import (
	"cmp"
	"maps"
	"slices"

	"github.com/crau-otel/crau-otel/mapping/shape"
	"github.com/crau-otel/crau-otel/tracer/event"
)

// finish ends a tree and passes it to Config.Finished.
func (t *Tracker) finish(tr *tree, reason shape.EndReason) {
	if tr.partner != nil {
		wire := tr
		if tr.root().file != event.Wire {
			wire = tr.partner
		}
		if t.complete(wire) && wire == tr {
			return // the library's tree is still open
		}
	}
	t.handUp(tr, false, reason)
	tr.stopWaiting()
	for _, c := range tr.contexts {
		t.close(c)
	}
	t.removeTree(tr)
}

// finishAll ends the trees of a process in the order in which they began, and returns how many these were.
func (t *Tracker) finishAll(p *Process, reason shape.EndReason) (trees int) {
	for tr := range p.trees {
		t.joinLast(tr, never)
	}
	byStart := func(a, b *tree) int { return cmp.Compare(a.root().start, b.root().start) }
	for _, tr := range slices.SortedFunc(maps.Keys(p.trees), byStart) {
		if _, open := p.trees[tr]; open { // it may have become part of another one
			t.finish(tr, reason)
			trees++
		}
	}
	return trees
}

// evict ends a tree because of a limit.
func (t *Tracker) evict(tr *tree, limit Limit) {
	t.stats.Evictions[limit][tr.owner.Class]++
	t.finish(tr, shape.EndEvicted)
}

// makeRoom evicts trees until so many more contexts may open on the thread, and data may be added.
func (t *Tracker) makeRoom(th *thread, more int) {
	for {
		limit, exceeded := t.shares.over(th.process.owner, more)
		if !exceeded {
			return
		}
		tr := t.shares.memoryVictim(th.process.owner, limit)
		if tr == nil {
			return // nothing is open: the limit is smaller than what is asked for
		}
		evicted := tr.thread
		t.evict(tr, limit)
		if evicted != th {
			evicted.forgetIfEmpty()
		}
	}
}

// leastShed is the part of a tree, as a divisor, that must be superseded for it to be shed: else a tree of many open
// contexts would be copied for each new one.
const leastShed = 8

// shed hands up the superseded contexts of a tree. The others stay in it. It does nothing if these are nearly all
// there are.
func (t *Tracker) shed(tr *tree) {
	superseded := 0
	for _, c := range tr.contexts {
		if c.superseded {
			superseded++
		}
	}
	if superseded*leastShed < len(tr.contexts) {
		return
	}
	t.handUp(tr, true, shape.EndSuperseded)
	open := tr.contexts[:0]
	for _, c := range tr.contexts {
		if !c.superseded {
			open = append(open, c)
			continue
		}
		if c.parent != nil && c.parent.newest == c { // everything below it is superseded as well
			c.parent.newest = nil
		}
		t.close(c)
	}
	clear(tr.contexts[len(open):])
	tr.contexts = open
}

// handUp passes a tree, or the superseded part of it, to Config.Finished.
func (t *Tracker) handUp(tr *tree, part bool, reason shape.EndReason) {
	f := &t.finished
	f.reset()
	f.Process, f.TraceID, f.Events, f.Part, f.Link = tr.thread.process, tr.traceID, tr.events, part, Link{}
	if !part {
		f.Link = tr.settleDoubt()
	}
	tr.events = 0
	f.Shape.Head = shape.Head{End: reason, Pieces: tr.pieces.joined, Signed: tr.thread.process.Signed, Wire: tr.wire}
	if tr.pieces.joined > 0 {
		f.Shape.Head.Join = tr.pieces.method
	}
	for _, c := range tr.contexts {
		if !part || c.superseded {
			c.stretch()
		}
	}
	if tr.isIncomplete() {
		tr.root().incomplete = true
	}
	f.fill(tr.contexts, part)
	carry := t.cfg.Finished(f)
	if !part {
		return
	}
	for i, c := range tr.contexts {
		if !c.superseded {
			c.carry = carry[i]
		}
	}
}

// fill copies contexts, of which parents come before their children. Of a part, those not superseded stay open.
func (f *Finished) fill(from []*context, part bool) {
	n := len(from)
	traits, contexts := slices.Grow(f.Shape.Traits, n)[:n], slices.Grow(f.Contexts, n)[:n]
	data := f.Shape.Data
	for i, c := range from {
		c.index = int32(i)
		data = append(data, c.data...)
		trait := &traits[i]
		trait.Name, trait.File, trait.Data, trait.Dropped = c.name, c.file, int32(len(c.data)), int32(c.dropped)
		trait.Parentage, trait.Carry = c.parentage, c.carry
		trait.Superseded, trait.Incomplete, trait.Open = c.superseded, c.incomplete, part && !c.superseded
		trait.Parent = -1
		if c.parent != nil {
			trait.Parent = c.parent.index
		}
		finished := &contexts[i]
		finished.ID, finished.TID, finished.SpanID = c.id, c.thread.id, c.spanID
		finished.Start, finished.End = c.start, c.last
	}
	f.Shape.Traits, f.Shape.Data, f.Contexts = traits, data, contexts
}

// maxScratch is the largest number of contexts, and a tenth of the largest number of pairs, of a tree whose memory is
// reused.
const maxScratch = 1024

// reset empties f. It keeps the memory for reuse, unless the tree was unusually large.
func (f *Finished) reset() {
	if cap(f.Contexts) > maxScratch || cap(f.Shape.Data) > 10*maxScratch {
		*f = Finished{}
	}
	f.Shape.Traits, f.Shape.Data, f.Contexts = f.Shape.Traits[:0], f.Shape.Data[:0], f.Contexts[:0]
}

// close removes a context that was passed on.
func (t *Tracker) close(c *context) {
	c.tree.owner.use(-1, -c.size())
	c.thread.removeContext(c)
	if c.thread.id&wireThread != 0 {
		c.thread.forgetIfEmpty()
	}
	t.pool.putContext(c)
}

// removeTree forgets a tree whose contexts are closed or belong to another tree.
func (t *Tracker) removeTree(tr *tree) {
	tr.part()
	if other := tr.doubt.open; other != nil {
		other.doubt = doubt{}
	}
	t.idle(tr).remove(tr)
	tr.owner.trees.remove(tr)
	delete(tr.thread.process.trees, tr)
	t.pool.putTree(tr)
}

// idle returns the list that a tree is in.
func (t *Tracker) idle(tr *tree) *treeList {
	if tr.followed {
		return &t.followed
	}
	return &t.trees
}

// touch notes that a tree got an event.
func (t *Tracker) touch(tr *tree) {
	t.idle(tr).moveToBack(tr)
	tr.owner.trees.moveToBack(tr)
}

// isIncomplete reports whether hits of the process were lost while the tree was open.
// What the wire reports is no hit.
func (tr *tree) isIncomplete() bool {
	return tr.losses < tr.thread.process.losses && tr.root().file != event.Wire
}
