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

// finish ends a tree and passes it to Config.Finished. If the tree has a partner, the two are first merged into the
// library's tree, unless they contradict each other. If tr is the wire's tree, the library's tree then stays open.
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
		if _, open := p.trees[tr]; open { // finishing an earlier tree may have merged this one into another
			t.finish(tr, reason)
			trees++
		}
	}
	return trees
}

// evict finishes a tree because of a limit.
func (t *Tracker) evict(tr *tree, limit Limit) {
	t.stats.Evictions[limit][tr.owner.Class]++
	t.finish(tr, shape.EndEvicted)
}

// makeRoom evicts trees until the thread may open that many more contexts and add data to open ones.
func (t *Tracker) makeRoom(th *thread, more int) {
	for {
		limit, exceeded := t.shares.over(th.process.owner, more)
		if !exceeded {
			return
		}
		tr := t.shares.memoryVictim(th.process.owner, limit)
		if tr == nil {
			return // nothing is left to evict: the request is larger than the limit
		}
		evicted := tr.thread
		t.evict(tr, limit)
		if evicted != th {
			evicted.forgetIfEmpty()
		}
	}
}

// leastShed is a divisor: contexts are shed from a tree only if at least 1/leastShed of them are superseded. Otherwise
// a tree of many open contexts would be copied each time that a context is added.
const leastShed = 8

// shed passes the superseded contexts of a tree to Config.Finished as a part, and removes them from the tree. It does
// nothing if too few are superseded: see leastShed.
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
		if c.parent != nil && c.parent.newest == c { // the open branch ends at the parent now
			c.parent.newest = nil
		}
		t.open.close(c)
	}
	clear(tr.contexts[len(open):])
	tr.contexts = open
}

// closeSession finishes the open handshake of a session that the program closed.
func (t *Tracker) closeSession(p *Process, session key) {
	if open, ok := p.sessions[session]; ok {
		t.finish(open, shape.EndClosed)
	}
}

// supersedeTree handles a new root with the id of the tree's root. It finishes the tree, unless the tree is a handshake
// that may get further pieces. Package wire always reports whole handshakes.
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

// endPiece joins a piece to the oldest handshake that lacks everything the piece adds. If there is none, the piece is
// kept as the first piece of a handshake.
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

// endWire handles the end of a handshake that package wire reports.
func (t *Tracker) endWire(th *thread, ev *event.Event) {
	c := th.ownContext(ev.Context, ev.File)
	if c == nil {
		return // the tree was evicted, or was merged into a library's tree
	}
	c.last = max(c.last, ev.Time)
	if c.tree.partner != nil { // the library may still report data: wait until its tree or this one is idle
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
