// SPDX-License-Identifier: Apache-2.0

package contexts

// maxSameID bounds the files that have a context of one id open on one thread. The oldest becomes unreachable.
const maxSameID = 8

// key identifies what one file refers to by an id.
type key struct {
	id   uint64
	file uint32
}

func (c *context) key() key { return key{c.id, c.file} }

// ownContext returns the newest open context that a file opened with the id, nil if there is none.
func (th *thread) ownContext(id uint64, file uint32) *context {
	for c := th.open[id]; c != nil; c = c.sameID {
		if c.file == file {
			return c
		}
	}
	return nil
}

// contextFor returns the context that a file refers to by an id: its own, else the one that another file opened last; nil
// if there is none.
func (th *thread) contextFor(id uint64, file uint32) *context {
	if c := th.ownContext(id, file); c != nil {
		return c
	}
	return th.open[id]
}

// setContext makes c the context that its file refers to by its id.
func (th *thread) setContext(c *context) {
	if len(th.open) == 0 {
		th.process.threads[th.id] = th // it may have been forgotten with its last context
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

// removeContext makes c unreachable by its id, if it is not already.
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
