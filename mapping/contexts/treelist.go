// SPDX-License-Identifier: Apache-2.0

package contexts

// treeList is a list of trees, idle longest first. Its links are in the trees, so that adding one allocates nothing.
type treeList struct {
	which       listKind
	front, back *tree
	n           int
}

// listKind selects the links of a tree that a list uses.
type listKind uint8

const (
	byIdle  listKind = iota // openTrees
	byOwner                 // owner.trees
	listKinds
)

type links struct{ before, after *tree }

func (l *treeList) pushBack(t *tree) {
	t.links[l.which] = links{before: l.back}
	if l.back == nil {
		l.front = t
	} else {
		l.back.links[l.which].after = t
	}
	l.back = t
	l.n++
}

func (l *treeList) remove(t *tree) {
	at := t.links[l.which]
	if at.before == nil {
		l.front = at.after
	} else {
		at.before.links[l.which].after = at.after
	}
	if at.after == nil {
		l.back = at.before
	} else {
		at.after.links[l.which].before = at.before
	}
	t.links[l.which] = links{}
	l.n--
}

func (l *treeList) moveToBack(t *tree) {
	if l.back != t {
		l.remove(t)
		l.pushBack(t)
	}
}
