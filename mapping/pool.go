// SPDX-License-Identifier: Apache-2.0

package mapping

// pool keeps the nodes and trees that are out of use, so that a busy mapper makes little garbage. Whatever may outlive
// a context refers to it by a ref.
type pool struct {
	nodes []*node
	trees []*tree
}

const (
	maxPooled     = 4096 // of each kind
	maxPooledData = 32   // data that a kept node has room for
)

func (p *pool) newNode() *node {
	if last := len(p.nodes) - 1; last >= 0 {
		n := p.nodes[last]
		p.nodes = p.nodes[:last]
		return n
	}
	return &node{}
}

func (p *pool) newTree() *tree {
	if last := len(p.trees) - 1; last >= 0 {
		t := p.trees[last]
		p.trees = p.trees[:last]
		return t
	}
	return &tree{}
}

// recycle takes back a node that nothing but refs refers to.
func (p *pool) recycle(n *node) {
	data := n.data
	clear(data)
	if cap(data) > maxPooledData {
		data = nil
	}
	*n = node{data: data[:0]}
	if len(p.nodes) < maxPooled {
		p.nodes = append(p.nodes, n)
	}
}

// recycleTree takes back a tree that nothing refers to.
func (p *pool) recycleTree(t *tree) {
	nodes := t.nodes
	clear(nodes)
	*t = tree{nodes: nodes[:0]}
	if len(p.trees) < maxPooled {
		p.trees = append(p.trees, t)
	}
}
