// SPDX-License-Identifier: Apache-2.0

package console

import (
	sdkresource "go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/trace"

	"github.com/crau-otel/crau-otel/mapping"
)

// A node is a span with the spans below it.
type node struct {
	span     *mapping.Span
	resource *sdkresource.Resource
	children []*node
}

// forest returns the roots of the trees that the spans form. Roots and children are in the order of the spans. Only an
// earlier span can be a parent, so spans cannot be their own ancestors, whatever their ids are.
func forest(t *mapping.Tree) []*node {
	type id struct {
		trace trace.TraceID
		span  trace.SpanID
	}
	var roots []*node
	seen := make(map[id]*node, len(t.Spans))
	for i := range t.Spans {
		span := &t.Spans[i]
		n := &node{span: span, resource: t.Resource}
		if parent := seen[id{span.TraceID, span.ParentID}]; parent != nil && span.ParentID.IsValid() {
			parent.children = append(parent.children, n)
		} else {
			roots = append(roots, n)
		}
		seen[id{span.TraceID, span.SpanID}] = n
	}
	return roots
}

// walk calls visit for n and then for all nodes below it, depth first. last has one element for each level below n,
// down to the visited node: whether the ancestor of the visited node on that level, or on the lowest level the node
// itself, is the last child of its parent. last is empty for n. visit must not keep last after it returns.
func (n *node) walk(visit func(n *node, last []bool)) {
	var descend func(*node, []bool)
	descend = func(n *node, last []bool) {
		visit(n, last)
		for i, child := range n.children {
			descend(child, append(last, i == len(n.children)-1))
		}
	}
	descend(n, nil)
}
