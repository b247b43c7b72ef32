// SPDX-License-Identifier: Apache-2.0

package contexts

// treeList is a doubly linked list of trees, idle longest first. The links are fields of the trees, so that adding a
// tree allocates nothing.
type treeList struct {
	which       listKind
	front, back *tree
	n           int
}

// listKind is the index in tree.links of the links that a list uses.
type listKind uint8

const (
	byIdle  listKind = iota // openTrees.byIdle and openTrees.followed
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
