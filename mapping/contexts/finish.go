// SPDX-License-Identifier: Apache-2.0

package contexts

import (
	"cmp"
	"maps"
	"slices"

	"github.com/crau-otel/crau-otel/mapping/schema"
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
		if t.open.complete(wire) && wire == tr {
			return // the library's tree is still open
		}
	}
	t.handUp(tr, false, reason)
	tr.stopWaiting()
	for _, c := range tr.contexts {
		t.open.close(c)
	}
	t.open.remove(tr)
}

// finishAll ends the trees of a process in the order in which they began, and returns their number.
func (t *Tracker) finishAll(p *Process, reason shape.EndReason) (trees int) {
	for tr := range p.trees {
		t.open.joinLast(tr, never)
	}
	byStart := func(a, b *tree) int { return cmp.Compare(a.root().start, b.root().start) }
	for _, tr := range slices.SortedFunc(maps.Keys(p.trees), byStart) {
		if _, open := p.trees[tr]; open { // it may have been merged into another tree
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

// makeRoom evicts trees until the thread may open that many more contexts, and data may be added.
func (t *Tracker) makeRoom(th *thread, more int) {
	for {
		limit, exceeded := t.shares.over(th.process.owner, more)
		if !exceeded {
			return
		}
		tr := t.shares.memoryVictim(th.process.owner, limit)
		if tr == nil {
			return // nothing is open: the request is larger than the limit
		}
		evicted := tr.thread
		t.evict(tr, limit)
		if evicted != th {
			evicted.forgetIfEmpty()
		}
	}
}

// leastShed is a divisor: a tree is shed only if at least this part of it is superseded. Otherwise a tree of many open
// contexts would be copied for each new one.
const leastShed = 8

// shed hands up the superseded contexts of a tree. The others stay in it. It does nothing if too few are superseded:
// see leastShed.
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
		if c.parent != nil && c.parent.newest == c { // everything below it is superseded too
			c.parent.newest = nil
		}
		t.open.close(c)
	}
	clear(tr.contexts[len(open):])
	tr.contexts = open
}

// closeSession ends the handshake of a session that was closed.
func (t *Tracker) closeSession(p *Process, session key) {
	if open, ok := p.sessions[session]; ok {
		t.finish(open, shape.EndClosed)
	}
}

// supersedeTree is called when a root's id is opened again as a root. It finishes the tree, unless the tree is a
// handshake that may get further pieces. Package wire always reports whole handshakes.
func (t *Tracker) supersedeTree(tr *tree) {
	root := tr.root()
	switch {
	case tr.pieces.session.id != 0, tr.isWaiting():
	case root.class() == schema.ClassTLSHandshake && root.parentage == shape.ParentCertain && !root.self && root.file != event.Wire:
		t.endPiece(tr)
	default:
		t.finish(tr, shape.EndSuperseded)
	}
}

// endPiece joins a piece to the oldest handshake that lacks everything it adds, or keeps it as the start of another
// one.
func (t *Tracker) endPiece(piece *tree) {
	if first := t.open.lacking(piece); first != nil {
		t.open.merge(first, piece, shape.JoinInferred)
		return
	}
	root := piece.root()
	waiting := append(root.thread.waiting[root.key()], piece)
	root.thread.waiting[root.key()] = waiting
	if len(waiting) > MaxWaiting {
		t.finish(waiting[0], shape.EndSuperseded)
	}
}

// endWire ends a handshake whose end package wire reports.
func (t *Tracker) endWire(th *thread, ev *event.Event) {
	c := th.ownContext(ev.Context, ev.File)
	if c == nil {
		return // evicted, or part of a library's tree
	}
	c.last = max(c.last, ev.Time)
	if c.tree.partner != nil { // the library may report more, and then knows more than the wire
		if c.tree.followed {
			t.open.followed.remove(c.tree)
			c.tree.followed, c.tree.last = false, ev.Time
			t.open.byIdle.pushBack(c.tree)
		}
		return
	}
	t.finish(c.tree, shape.EndObserved)
	th.forgetIfEmpty()
}
