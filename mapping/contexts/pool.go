// SPDX-License-Identifier: Apache-2.0

package contexts

// pool keeps contexts and trees for reuse, so that a busy tracker makes little garbage. Whatever may outlive a context
// refers to it by a ref.
type pool struct {
	contexts []*context
	trees    []*tree
}

const (
	maxPooled     = 4096 // of each kind
	maxPooledData = 32   // data that a pooled context has room for
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

// putContext keeps a context that nothing but refs refers to.
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

// putTree keeps a tree that nothing refers to.
func (p *pool) putTree(tr *tree) {
	contexts := tr.contexts
	clear(contexts)
	*tr = tree{contexts: contexts[:0]}
	if len(p.trees) < maxPooled {
		p.trees = append(p.trees, tr)
	}
}
