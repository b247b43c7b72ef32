// SPDX-License-Identifier: Apache-2.0

package contexts

// pool keeps contexts and trees for reuse, so that a busy tracker produces little garbage. A pointer to a context that
// may outlive the context must be a ref.
type pool struct {
	contexts []*context
	trees    []*tree
}

const (
	maxPooled     = 4096 // contexts, and trees, that are kept
	maxPooledData = 32   // capacity, in elements, up to which the data slice of a context is kept
)

func (p *pool) context() *context {
	if last := len(p.contexts) - 1; last >= 0 {
		c := p.contexts[last]
		p.contexts = p.contexts[:last]
		return c
	}
	return &context{}
}

func (p *pool) tree() *tree {
	if last := len(p.trees) - 1; last >= 0 {
		tr := p.trees[last]
		p.trees = p.trees[:last]
		return tr
	}
	return &tree{}
}

// putContext returns a context to the pool. No pointers to the context but those in refs may be left.
func (p *pool) putContext(c *context) {
	data := c.data
	clear(data)
	if cap(data) > maxPooledData {
		data = nil
	}
	*c = context{data: data[:0]}
	if len(p.contexts) < maxPooled {
		p.contexts = append(p.contexts, c)
	}
}

// putTree returns a tree to the pool. No pointers to the tree may be left.
func (p *pool) putTree(tr *tree) {
	contexts := tr.contexts
	clear(contexts)
	*tr = tree{contexts: contexts[:0]}
	if len(p.trees) < maxPooled {
		p.trees = append(p.trees, tr)
	}
}
