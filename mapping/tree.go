// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"container/list"

	"go.opentelemetry.io/otel/trace"
)

// end is why a context's end was inferred; no probe tells it.
type end string

const (
	endIdle       end = "idle"         // nothing happened in the tree for the idle timeout
	endExit       end = "process_exit" // the process ended
	endSuperseded end = "superseded"   // another context took its place
	endShutdown   end = "shutdown"     // crau-otel stops
	endEvicted    end = "evicted"      // a limit was reached
)

// process is who fires probes.
type process struct {
	pid     uint32
	who     *identity
	threads map[uint32]*thread
	trees   map[*tree]struct{} // unfinished
	age     *list.Element      // in Mapper.processes
}

// thread is where context ids live: the same id on another thread is another context.
type thread struct {
	id   uint32
	proc *process
	// open has the newest context of every id in an unfinished tree.
	open map[uint64]*node
}

// tree is one root context with all that opened below it.
type tree struct {
	thread *thread
	nodes  []*node // parents before their children; the first is the root
	last   uint64  // boot time of the latest event
	events int     // probe hits that went into the tree
	trace  trace.TraceID
	age    *list.Element // in Mapper.trees
}

func (t *tree) root() *node { return t.nodes[0] }

// node is one context: a span in the making.
type node struct {
	tree       *tree
	parent     *node
	child      *node // the child opened last
	schema     *schema
	name       string // as emitted; "" until told
	data       []datum
	ctx        uint64
	start      uint64 // boot time, ns
	last       uint64 // boot time of the latest event of its own
	span       trace.SpanID
	dropped    int  // data over the limit
	superseded bool // something was opened in its place
	incomplete bool // data of this context was lost on the way
	linked     bool // its place was told, by a bare new_context with another context as parent
	parentage  parentage

	// Of a context opened on itself before its name is known: the context of that id that was innermost then, and its
	// tree, which tells whether it is still there.
	outer     *node
	outerTree *tree
}

// parentage is what to say of a root's parent.
type parentage string

const (
	parentNone    parentage = ""        // a root by its own word, or a child
	parentUnknown parentage = "unknown" // the parent it names is not open
	parentCyclic  parentage = "cyclic"  // the parent it names is below a context of the same id
	parentMissing parentage = "missing" // data came for a context that was never opened here
)

// bare reports whether nothing is known of the context yet but its place.
func (n *node) bare() bool { return n.name == "" && len(n.data) == 0 && n.child == nil }

// supersede marks n and the open contexts below it: something was opened in n's place.
func (n *node) supersede() {
	for ; n != nil && !n.superseded; n = n.child {
		n.superseded = true
	}
}

// below reports whether n is a or below it.
func (n *node) below(a *node) bool {
	for ; n != nil; n = n.parent {
		if n == a {
			return true
		}
	}
	return false
}

// adopt makes n the child of p that was opened last.
func (p *node) adopt(n *node) {
	p.child.supersede()
	n.parent, p.child = p, n
	n.tree = p.tree
	p.tree.nodes = append(p.tree.nodes, n)
}

// setName names n, once.
func (n *node) setName(name string) {
	n.name = name
	n.schema = schemas[name]
}

// selfParent finds the place of a context called name that was opened on an id with itself as parent, innermost
// being the newest open context of that id: below the nearest context of the id that may hold it, else below the
// parent that the id was explicitly linked to, else nowhere: it is a root.
func selfParent(innermost *node, name string) *node {
	s := schemas[name]
	n := innermost
	for n != nil {
		if n.schema != nil && n.schema.holds[name] && (s == nil || !s.root) {
			return n
		}
		if n.parent == nil || n.parent.ctx != n.ctx {
			return n.parent
		}
		n = n.parent
	}
	return nil
}

// owner finds the context that a key given for an id belongs to: the nearest whose schema has it, else the innermost.
func owner(innermost *node, key string) *node {
	if innermost.parent == nil || innermost.parent.ctx != innermost.ctx {
		return innermost
	}
	for n := innermost; n != nil && n.ctx == innermost.ctx; n = n.parent {
		if n.schema != nil && n.schema.keys[key] {
			return n
		}
	}
	return innermost
}
