// SPDX-License-Identifier: Apache-2.0

package export

import (
	"go.opentelemetry.io/otel/attribute"
	sdkresource "go.opentelemetry.io/otel/sdk/resource"

	"github.com/crau-otel/crau-otel/mapping"
)

// entry is an encoded tree.
type entry struct {
	Count // of the tree

	batch Batch
	bytes int // of the batch
}

// waiting holds the trees that wait, by owner, and within an owner by program. Each owner has the same right to room and
// to being sent, and so has each program of an owner: when there is no room, the owner that uses most loses the newest tree
// of its program that uses most, and owners take turns when trees are taken out. Otherwise a single program that makes
// trees faster than they are sent would cost all others theirs. A user can make up programs, but not owners.
type waiting struct {
	maxSpans, maxBytes int

	Count     // of all trees
	bytes int // of all batches

	owners shares[mapping.Owner, *owner]
	newest *program // whose tree was put last, nil if it has none any more
}

// source is who made a tree.
type source struct {
	owner   mapping.Owner
	program attribute.Distinct // of its resource
}

func sourceOf(t *mapping.Tree) source { return source{t.Owner, t.Resource.Equivalent()} }

// owner is what waits of one owner.
type owner struct {
	share
	programs shares[attribute.Distinct, *program]
}

// program is what waits of one program of an owner.
type program struct {
	share
	source   source
	owner    *owner
	resource *sdkresource.Resource // of the first tree, for the log
	entries  []entry               // oldest first
}

// turnBytes is how much of an owner, or of a program, is taken before the next one's turn. Trees of one program share a
// resource, which is sent once for all that are in one call.
const turnBytes = 32 << 10

func newWaiting(maxSpans, maxBytes int) waiting {
	return waiting{maxSpans: maxSpans, maxBytes: maxBytes, owners: newShares[mapping.Owner, *owner]()}
}

// weight returns how much of the room spans and bytes use: half of it each limit.
func (w *waiting) weight(spans uint64, bytes int) int64 {
	return int64(spans)*int64(w.maxBytes) + int64(bytes)*int64(w.maxSpans)
}

// fits reports whether there is room for a tree beside sending bytes that are being sent. The last tree may exceed the
// bytes.
func (w *waiting) fits(spans uint64, sending int) bool {
	return w.bytes+sending < w.maxBytes && w.Spans+spans <= uint64(w.maxSpans)
}

// largest returns the program to evict from in favour of a tree, nil if nobody uses more than who made the tree would.
func (w *waiting) largest(from source, spans uint64, bytes int) *program {
	top, ok := w.owners.largest()
	if !ok || spans > uint64(w.maxSpans) {
		return nil
	}
	use := w.weight(spans, bytes)
	own := w.owners.known[from.owner]
	if own != top {
		ownUse := use
		if own != nil {
			ownUse += own.use
		}
		if top.use > ownUse {
			p, _ := top.programs.largest()
			return p
		}
	}
	if own == nil {
		return nil
	}
	if p, ok := own.programs.known[from.program]; ok {
		use += p.use
	}
	if p, _ := own.programs.largest(); p.use > use {
		return p
	}
	return nil
}

// put appends the newest tree of a program, whose resource is given.
func (w *waiting) put(from source, resource *sdkresource.Resource, e entry) {
	p := w.newest
	if p == nil || p.source != from {
		p = w.program(from, resource)
		w.newest = p
	}
	p.entries = append(p.entries, e)
	w.account(p, e, 1)
}

// program returns a program, which is added if it is new.
func (w *waiting) program(from source, resource *sdkresource.Resource) *program {
	o, ok := w.owners.known[from.owner]
	if !ok {
		o = &owner{programs: newShares[attribute.Distinct, *program]()}
		w.owners.add(from.owner, o)
	}
	p, ok := o.programs.known[from.program]
	if !ok {
		p = &program{source: from, owner: o, resource: resource}
		o.programs.add(from.program, p)
	}
	return p
}

// evict removes a program's newest tree.
func (w *waiting) evict(p *program) entry {
	last := len(p.entries) - 1
	e := p.entries[last]
	p.entries[last] = entry{}
	p.entries = p.entries[:last]
	w.account(p, e, -1)
	return e
}

// take removes trees for about one call, each owner in turn: as many as fit, but at least one.
func (w *waiting) take(maxSpans, maxBytes int) (batch []entry) {
	var spans, bytes int
	for len(w.owners.turns) > 0 {
		o := w.owners.turns[0]
		p := o.programs.turns[0]
		e := p.entries[0]
		spans, bytes = spans+int(e.Spans), bytes+e.bytes
		if len(batch) > 0 && (spans > maxSpans || bytes > maxBytes) {
			break
		}
		if batch == nil {
			batch = make([]entry, 0, min(maxSpans, len(p.entries)))
		}
		batch = append(batch, e)
		p.entries[0] = entry{}
		p.entries = p.entries[1:]
		w.account(p, e, -1)
		if len(p.entries) > 0 {
			o.programs.spend(p, e.bytes)
		}
		if len(o.programs.turns) > 0 {
			w.owners.spend(o, e.bytes)
		}
	}
	return batch
}

// account adds a tree of a program, or removes it if sign is -1. Who has no trees is forgotten.
func (w *waiting) account(p *program, e entry, sign int) {
	w.Spans += uint64(sign) * e.Spans
	w.Events += uint64(sign) * e.Events
	w.bytes += sign * e.bytes
	use := int64(sign) * w.weight(e.Spans, e.bytes)
	p.owner.programs.use(p, use)
	w.owners.use(p.owner, use)
	if len(p.entries) > 0 {
		return
	}
	if w.newest == p {
		w.newest = nil
	}
	p.owner.programs.remove(p.source.program, p)
	if len(p.owner.programs.turns) == 0 {
		w.owners.remove(p.source.owner, p.owner)
	}
}
