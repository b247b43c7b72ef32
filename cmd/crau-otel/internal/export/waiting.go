// SPDX-License-Identifier: Apache-2.0

package export

import (
	"go.opentelemetry.io/otel/attribute"
	sdkresource "go.opentelemetry.io/otel/sdk/resource"

	"github.com/crau-otel/crau-otel/mapping"
)

// entry is an encoded tree.
type entry struct {
	Count // spans and hits of the tree

	batch Batch
	bytes int // size of the batch
}

// waiting holds the queued trees by owner, and the trees of each owner by program. Owners share the room of the queue
// equally, and so do the programs of an owner: if there is no room, the program that uses the most, among those of the
// owner that uses the most, loses its newest tree. When trees are taken out, owners take turns, and within the turns of
// an owner its programs do. Without these rules, a program that makes trees faster than they are sent would displace
// the trees of all other programs. Room and turns are first divided among owners, because a user can invent programs,
// but not owners.
type waiting struct {
	maxSpans, maxBytes int

	Count     // spans and hits of all trees
	bytes int // size of all batches

	owners shares[mapping.Owner, *owner]
	newest *program // program whose tree was added last; nil if it has no trees any more
}

// source identifies the program that a tree describes, and the owner of the program.
type source struct {
	owner   mapping.Owner
	program attribute.Distinct // identity of the program's resource
}

func sourceOf(t *mapping.Tree) source { return source{t.Owner, t.Resource.Equivalent()} }

// owner holds the queued trees of one owner.
type owner struct {
	share
	programs shares[attribute.Distinct, *program]
}

// program holds the queued trees of one program of an owner.
type program struct {
	share
	source   source
	owner    *owner
	resource *sdkresource.Resource // resource of the program's first tree, for log lines
	entries  []entry               // trees, oldest first
}

// turnBytes is how many bytes are taken from an owner, or from a program, in one turn. A turn has room for several
// trees, because trees of one program share a resource, which is sent once per call.
const turnBytes = 32 << 10

func newWaiting(maxSpans, maxBytes int) waiting {
	return waiting{maxSpans: maxSpans, maxBytes: maxBytes, owners: newShares[mapping.Owner, *owner]()}
}

// weight returns how much of the queue's room a number of spans and bytes uses, as a number without unit. Using all of
// maxSpans weighs as much as using all of maxBytes.
func (w *waiting) weight(spans uint64, bytes int) int64 {
	return int64(spans)*int64(w.maxBytes) + int64(bytes)*int64(w.maxSpans)
}

// fits reports whether there is room for a tree with this number of spans. sending is the size in bytes of the trees
// that are being sent, which use room, too. The last tree that fits may exceed maxBytes.
func (w *waiting) fits(spans uint64, sending int) bool {
	return w.bytes+sending < w.maxBytes && w.Spans+spans <= uint64(w.maxSpans)
}

// largest returns the program that loses a tree to make room for a new tree of the program from. If another owner uses
// more than from's owner would with the new tree, this is the largest program of the largest owner. Otherwise it is the
// largest program of from's owner, if that uses more than from would. It returns nil in all other cases, and if the
// tree has more spans than the queue may hold.
func (w *waiting) largest(from source, spans uint64, bytes int) *program {
	top, ok := w.owners.largest()
	if !ok || spans > uint64(w.maxSpans) {
		return nil
	}
	use := w.weight(spans, bytes)
	treeOwner := w.owners.known[from.owner]
	if treeOwner != top {
		ownUse := use
		if treeOwner != nil {
			ownUse += treeOwner.use
		}
		if top.use > ownUse {
			p, _ := top.programs.largest()
			return p
		}
	}
	if treeOwner == nil {
		return nil
	}
	if p, ok := treeOwner.programs.known[from.program]; ok {
		use += p.use
	}
	if p, _ := treeOwner.programs.largest(); p.use > use {
		return p
	}
	return nil
}

// put appends a tree to the trees of the program from, which has the given resource.
func (w *waiting) put(from source, resource *sdkresource.Resource, e entry) {
	p := w.newest
	if p == nil || p.source != from {
		p = w.program(from, resource)
		w.newest = p
	}
	p.entries = append(p.entries, e)
	w.account(p, e, 1)
}

// program returns the program from. If the program or its owner is new, it is added.
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

// evict removes the newest tree of a program and returns it.
func (w *waiting) evict(p *program) entry {
	last := len(p.entries) - 1
	e := p.entries[last]
	p.entries[last] = entry{}
	p.entries = p.entries[:last]
	w.account(p, e, -1)
	return e
}

// take removes trees for about one call, in turns of owners and programs: as many trees as fit, but at least one if
// there is any.
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

// account adds a tree of a program to the sums, or subtracts it if sign is -1. It removes the program, and its owner,
// when they have no trees any more.
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
