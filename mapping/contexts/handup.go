// SPDX-License-Identifier: Apache-2.0

package contexts

import (
	"slices"

	"github.com/crau-otel/crau-otel/mapping/shape"
)

// handUp passes a tree to Config.Finished; if part is set, only its superseded contexts have ended.
func (t *Tracker) handUp(tr *tree, part bool, reason shape.EndReason) {
	f := &t.finished
	f.reset()
	f.Process, f.TraceID, f.Events, f.Part, f.Link = tr.thread.process, tr.traceID, tr.events, part, Link{}
	if !part {
		f.Link = tr.settleDoubt()
	}
	tr.events = 0
	f.Shape.Head = shape.Head{End: reason, Pieces: tr.pieces.joined, Wire: tr.wire}
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

// fill copies contexts to f. Parents must come before their children. In a part, contexts that are not superseded are
// marked as open.
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

// maxScratch bounds the capacity of the slices that Finished keeps for reuse: maxScratch contexts and 10*maxScratch
// pairs.
const maxScratch = 1024

// reset empties f. It keeps the slices for reuse, unless the last tree was unusually large.
func (f *Finished) reset() {
	if cap(f.Contexts) > maxScratch || cap(f.Shape.Data) > 10*maxScratch {
		*f = Finished{}
	}
	f.Shape.Traits, f.Shape.Data, f.Contexts = f.Shape.Traits[:0], f.Shape.Data[:0], f.Contexts[:0]
}
