// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"container/list"

	"go.opentelemetry.io/otel/trace"

	"github.com/crau-otel/crau-otel/tracer/event"
)

// end is why a context's end was inferred; no probe tells it.
type end string

const (
	endIdle       end = "idle"           // nothing happened in the tree for the idle timeout
	endExit       end = "process_exit"   // the process ended
	endSuperseded end = "superseded"     // another context took its place
	endShutdown   end = "shutdown"       // crau-otel stops
	endEvicted    end = "evicted"        // a limit was reached
	endClosed     end = "session_closed" // the library was told to forget the session
)

// process is who fires probes.
type process struct {
	pid     uint32
	record  event.Process // zero until it arrived
	who     *identity
	threads map[uint32]*thread
	latest  *thread // one of threads: that spoke last; nil if unknown
	// sessions has the unfinished handshakes by the library's session, where the library tells it.
	sessions map[uint64]*tree
	trees    map[*tree]struct{} // unfinished
	age      *list.Element      // in Mapper.processes
	lost     uint64             // hits that the kernel lost so far
}

// missed notes that hits were lost: any of the open trees may lack some.
func (p *process) missed(lost uint64) {
	if lost > p.lost {
		for t := range p.trees {
			t.root().incomplete = true
		}
	}
	p.lost = lost // less than before if the kernel forgot the process meanwhile
}

// thread is where context ids live: the same id on another thread is another context.
type thread struct {
	id   uint32
	proc *process
	// open has the newest context of every id in an unfinished tree.
	open map[uint64]*node
	// latest is the context that was opened last.
	latest ref
	// session is what the library was entered with and no handshake has taken up yet; 0 if none.
	session uint64
	// pieces has, by the id of their roots, handshakes that may go on in further pieces, oldest first.
	pieces map[uint64][]*tree
}

// tree is one root context with all that opened below it.
type tree struct {
	thread *thread
	nodes  []*node // parents before their children; the first is the root
	last   uint64  // boot time of the latest event
	events int     // probe hits that went into the tree
	trace  trace.TraceID
	age    *list.Element // in Mapper.trees
	join   join
	shed   bool // some of its contexts were given to the sink before, and went into what the others mean
}

func (t *tree) root() *node { return t.nodes[0] }

// node is one context: a span in the making.
type node struct {
	tree       *tree
	thread     *thread // whose table of open contexts has it
	parent     *node
	child      *node // the child opened last
	schema     *schema
	name       string // as emitted; "" until told
	data       []datum
	ctx        uint64
	file       uint32 // that opened it
	start      uint64 // boot time, ns
	last       uint64 // boot time of the latest event of its own
	span       trace.SpanID
	dropped    int  // data over the limit
	superseded bool // something was opened in its place
	incomplete bool // data of this context was lost on the way
	self       bool // it named itself as parent: the id stands for an object, not for a call site
	linked     bool // its place was told, by a bare new_context with another context as parent
	parentage  parentage
	at         int // which of the nodes it is while patterns looks at them
	judgement  judgement

	// Of a context opened on itself before its name is known: the context of that id that was innermost then.
	outer ref
}

// ref is a reference to a context that may be finished, and its node in use for another one, when it is looked at.
type ref struct {
	n    *node
	span trace.SpanID
}

func (n *node) ref() ref { return ref{n, n.span} }

// get returns the context, nil if it is finished.
func (r ref) get() *node {
	if r.n == nil || r.n.tree == nil || r.n.span != r.span {
		return nil
	}
	return r.n
}

// parentage is what to say of a root's parent.
type parentage string

const (
	parentNone     parentage = ""         // a root by its own word, or a child
	parentUnknown  parentage = "unknown"  // the parent it names is not open
	parentCyclic   parentage = "cyclic"   // the parent it names is below a context of the same id
	parentInferred parentage = "inferred" // the parent it names cannot be: it went where the schema lets it
	parentMissing  parentage = "missing"  // data came for a context that was never opened here
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

// revive makes n part of the open branch of its tree again: something is opened below it after all. Then, as always,
// the contexts that are not superseded are those that child leads to from the root.
func (n *node) revive() {
	for ; n != nil && n.superseded; n = n.parent {
		n.superseded = false
		if p := n.parent; p != nil && p.child != n {
			p.child.supersede()
			p.child = n
		}
	}
}

// adopt makes c the child of n that was opened last.
func (n *node) adopt(c *node) {
	n.child.supersede()
	n.revive()
	c.parent, n.child = n, c
	c.tree = n.tree
	n.tree.nodes = append(n.tree.nodes, c)
}

// astray reports whether a context told as parent, nil if it is not open, cannot be the true one: the thread works on
// a session's handshake, and this is not part of it. GnuTLS leaves contexts on its stack when it fails, and even when
// it decrypts an RSA key exchange, so that it later names parents and contexts that are long gone or never were.
func (t *thread) astray(parent *node) bool {
	latest := t.latest.get()
	if latest == nil || latest.tree.join.session == 0 {
		return false
	}
	return parent == nil || parent.tree != latest.tree && parent.tree.join.session != 0
}

// climb returns the nearest context, from n upwards, that may hold one of the schema.
func climb(n *node, s *schema) *node {
	if s.handshake() {
		return nil
	}
	for ; n != nil; n = n.parent {
		if n.schema.holdsA(s) {
			return n
		}
	}
	return nil
}

// above returns the context so many higher than n.
func (n *node) above(up int) *node {
	for ; up > 0; up-- {
		n = n.parent
	}
	return n
}

// setName names n, once.
func (n *node) setName(name title) {
	n.name, n.schema = name.text, name.schema
}

// selfParent finds the place of a context of a schema that was opened on an id with itself as parent, innermost
// being the newest open context of that id: below the nearest context of the id that may hold it, else below the
// parent that the id was explicitly linked to, else nowhere: it is a root.
func selfParent(innermost *node, s *schema) *node {
	n := innermost
	for n != nil {
		if n.schema.holdsA(s) && !s.handshake() {
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
func owner(innermost *node, k *key) *node {
	if innermost.parent == nil || innermost.parent.ctx != innermost.ctx {
		return innermost
	}
	for n := innermost; n != nil && n.ctx == innermost.ctx; n = n.parent {
		if n.schema != nil && n.schema.own&k.owners != 0 {
			return n
		}
	}
	return innermost
}
