// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"fmt"
	"slices"
	"strings"

	"github.com/crau-otel/crau-otel/tracer/event"
)

// This is a model of package mapping, written only from the rules that users of the probes know. It is written for
// clarity alone: it keeps everything, examines everything, and has no limits. It shares no code with mapping.
// differential_test.go compares the two.

// modelHolds maps a context name to the names of the contexts that may open below it, for contexts that share an id.
var modelHolds = map[string]string{
	"tls::handshake": "tls::key_exchange tls::sign tls::verify tls::verify_cert_chain pk::sign pk::verify pk::encrypt pk::decrypt " +
		"pk::generate pk::derive pk::encapsulate pk::decapsulate",
	"tls::key_exchange":      "pk::generate pk::derive pk::encapsulate pk::decapsulate",
	"tls::sign":              "pk::sign",
	"tls::verify":            "pk::verify",
	"tls::verify_cert_chain": "pk::verify",
	"pk::encapsulate":        "pk::derive pk::encapsulate",
	"pk::decapsulate":        "pk::derive pk::decapsulate",
	"ssh::handshake":         "ssh::key_exchange ssh::client_key ssh::server_key",
	"ssh::key_exchange":      "pk::generate pk::derive pk::encapsulate pk::decapsulate",
	"ssh::client_key":        "pk::sign pk::verify",
	"ssh::server_key":        "pk::sign pk::verify",
}

// modelKeys maps a key to the names of the contexts that it belongs to.
var modelKeys = map[string]string{
	"tls::role": "tls::handshake", "tls::protocol_version": "tls::handshake", "tls::ciphersuite": "tls::handshake",
	"tls::group": "tls::key_exchange", "tls::signature_algorithm": "tls::sign tls::verify",
	"pk::algorithm": "pk::sign pk::verify pk::encrypt pk::decrypt pk::generate pk::derive pk::encapsulate pk::decapsulate",
	"pk::bits":      "pk::sign pk::verify pk::encrypt pk::decrypt pk::generate pk::derive",
	"pk::hash":      "pk::sign pk::verify pk::encrypt pk::decrypt",
	"ssh::role":     "ssh::handshake", "ssh::kex_algorithm": "ssh::key_exchange", "ssh::c2s_cipher": "ssh::key_exchange",
	"ssh::key_algorithm": "ssh::key_exchange ssh::client_key ssh::server_key",
	"ssh::rsa_bits":      "ssh::client_key ssh::server_key", "ssh::cert_signature_algorithm": "ssh::client_key ssh::server_key",
}

func modelHas(list, name string) bool { return slices.Contains(strings.Fields(list), name) }

func isHandshake(name string) bool { return name == "tls::handshake" || name == "ssh::handshake" }

// node is an open context.
type node struct {
	number   int // grows in the order in which contexts are added to trees
	id       uint64
	thread   uint32
	name     string
	doubt    string // what is in doubt about its parent, as in crypto.context.parent; "" if nothing
	parent   *node
	children []*node
	holds    bool // another context opened below this one, even if that has been removed
	keys     map[string]string
	tree     *modelTree
	self     bool  // the context named itself as parent
	link     bool  // the context was opened by a new_context without data that named its parent
	outer    *node // set while the context has no name but named itself as parent: the context that had its id before
}

// modelTree is a root and all contexts below it.
type modelTree struct {
	root    *node
	pid     uint32
	session uint64
	pieces  int
	last    uint64
	ended   string
	stale   bool // a child in another tree took its root's id, and nothing has opened in this tree since
}

// model holds the open and the finished trees.
type model struct {
	trees    []*modelTree
	open     map[[2]uint64]*node // newest open context by thread and id
	newest   map[uint32]*node    // newest context by thread
	session  map[uint32]uint64   // by thread: session that the library was called for, until a handshake is assigned to it
	idle     uint64
	finished []*modelTree
	number   int
}

func newModel(idle uint64) *model {
	return &model{open: map[[2]uint64]*node{}, newest: map[uint32]*node{}, session: map[uint32]uint64{}, idle: idle}
}

func (m *model) handle(ev *event.Event) {
	switch ev.Kind {
	case event.SessionEnter:
		m.session[ev.TID] = ev.Context
	case event.SessionLeave:
		m.end("session_closed", func(t *modelTree) bool { return t.pid == ev.PID && t.session == ev.Context && t.session != 0 })
	case event.ProcessExit:
		m.end("process_exit", func(t *modelTree) bool { return t.pid == ev.PID })
	case event.NewContext:
		m.opened(ev)
	case event.Data:
		m.data(ev)
	default:
	}
}

// tick ends the trees that are idle at boot time now.
func (m *model) tick(now uint64) {
	m.end("idle", func(t *modelTree) bool { return t.last+m.idle <= now })
}

// end finishes the trees for which which returns true. The ids of their contexts no longer refer to them.
func (m *model) end(reason string, which func(*modelTree) bool) {
	for _, t := range slices.Clone(m.trees) {
		if !which(t) {
			continue
		}
		t.ended = reason
		m.finished = append(m.finished, t)
		m.trees = slices.DeleteFunc(m.trees, func(other *modelTree) bool { return other == t })
	}
	for key, n := range m.open {
		if n.tree.ended != "" {
			delete(m.open, key)
		}
	}
}

func (m *model) find(ev *event.Event, id uint64) *node { return m.open[[2]uint64{uint64(ev.TID), id}] }

// add opens a context below parent, or as a root if parent is nil.
func (m *model) add(ev *event.Event, parent *node, doubt string) *node {
	n := &node{id: ev.Context, thread: ev.TID, keys: map[string]string{}, doubt: doubt}
	m.open[[2]uint64{uint64(ev.TID), n.id}], m.newest[ev.TID] = n, n
	if parent == nil {
		m.plant(n, ev)
	} else {
		m.attach(n, parent)
	}
	return n
}

func (m *model) plant(n *node, ev *event.Event) {
	m.number++
	n.number = m.number
	n.tree, n.parent = &modelTree{root: n, pid: ev.PID, last: ev.Time}, nil
	m.trees = append(m.trees, n.tree)
}

func (m *model) attach(n, parent *node) {
	m.number++
	n.number = m.number
	n.parent, n.tree = parent, parent.tree
	n.tree.stale = false
	parent.children, parent.holds = append(parent.children, n), true
}

// replace ends the tree of old because a new root takes the id of the tree's root. The handshake of a session stays
// open.
func (m *model) replace(old *node) {
	if old != nil && old.tree.root.id == old.id && old.tree.root.thread == old.thread && old.tree.session == 0 {
		m.end("superseded", func(t *modelTree) bool { return t == old.tree })
	}
}

// opened handles new_context. It opens a new context even for an id that is in use, except for a context that was
// linked for the new one.
func (m *model) opened(ev *event.Event) {
	old, name := m.find(ev, ev.Context), nameOf(ev)
	var n *node
	switch ev.Parent {
	case ev.Context: // the context names itself as parent: modelHolds decides its place
		if old != nil && old.link && old.name == "" && len(old.keys) == 0 && !old.holds {
			n = old // a library opened old to link this context to a parent
		} else if name == "" {
			n = m.add(ev, nil, "")
			n.outer = old
		} else if parent := holder(old, name); parent != nil {
			n = m.add(ev, parent, "")
		} else {
			m.replace(old)
			n = m.add(ev, nil, "")
		}
		n.self = true
	default:
		parent, doubt := m.explicit(ev, old, name)
		if parent == nil {
			m.replace(old)
		} else if old != nil && old.parent == nil {
			old.tree.stale = true
		}
		n = m.add(ev, parent, doubt)
		n.link = len(ev.Pairs) == 0
	}
	m.pairs(n, ev)
}

// explicit returns the parent of a context that names another one as parent, and what is doubtful about it. The parent
// is nil for a root.
func (m *model) explicit(ev *event.Event, old *node, name string) (parent *node, doubt string) {
	if ev.Parent == event.NoParent {
		return nil, ""
	}
	parent = m.find(ev, ev.Parent)
	if m.isStale(ev, parent) && !isHandshake(name) {
		for n := m.newest[ev.TID]; n != nil; n = n.parent {
			if modelHas(modelHolds[n.name], name) {
				return n, "inferred"
			}
		}
	}
	switch {
	case ev.Parent == 0:
		return nil, ""
	case parent == nil:
		return nil, "unknown"
	case old != nil && isBelow(parent, old):
		return nil, "cyclic"
	}
	return parent, ""
}

// isStale reports whether the parent is a leftover of an earlier handshake: the library works on the handshake of a
// session, and the parent is not part of that handshake.
func (m *model) isStale(ev *event.Event, parent *node) bool {
	n := m.newest[ev.TID]
	if n == nil || n.tree.ended != "" || n.thread != ev.TID || n.tree.session == 0 {
		return false
	}
	return parent == nil || parent.tree != n.tree && parent.tree.session != 0
}

func isBelow(n, above *node) bool {
	for ; n != nil; n = n.parent {
		if n == above {
			return true
		}
	}
	return false
}

// holder returns the nearest context with the id of n, from n upwards, that may hold a context with that name. If there
// is none, it returns the parent that the outermost context with the id was linked to.
func holder(n *node, name string) *node {
	for ; n != nil; n = n.parent {
		if modelHas(modelHolds[n.name], name) {
			return n
		}
		if n.parent == nil || n.parent.id != n.id {
			return n.parent
		}
	}
	return nil
}

// data handles data events: they belong to the newest context with the id, or else to a new root.
func (m *model) data(ev *event.Event) {
	n := m.find(ev, ev.Context)
	if n == nil && m.isStale(ev, nil) {
		n = m.newest[ev.TID]
	}
	if n == nil {
		n = m.add(ev, nil, "missing")
	}
	if name := nameOf(ev); n.outer != nil && name != "" {
		m.settle(n, name)
	}
	m.pairs(n, ev)
}

// settle moves a context that named itself as parent to its place, now that its name is known.
func (m *model) settle(n *node, name string) {
	outer := n.outer
	n.outer = nil
	if outer.tree.ended != "" || len(n.children) > 0 {
		return
	}
	parent := holder(outer, name)
	if parent == nil {
		m.replace(outer)
		return
	}
	m.trees = slices.DeleteFunc(m.trees, func(t *modelTree) bool { return t == n.tree })
	m.attach(n, parent)
}

// pairs adds an event's pairs. n is the newest context with the event's id. Each key is added to the nearest context,
// from n upwards, that it belongs to and that has the id, else to n.
func (m *model) pairs(n *node, ev *event.Event) {
	n.tree.last = ev.Time
	for i := range ev.Pairs {
		pair := &ev.Pairs[i]
		key, value := string(pair.Key), string(pair.Value)
		if pair.Type == event.Word {
			value = fmt.Sprint(pair.Word)
		}
		if key == "name" && n.name == "" {
			if n.name = value; strings.HasPrefix(value, "tls::handshake_") { // older names include the role
				n.name = "tls::handshake"
				n.keys["tls::role"] = strings.TrimPrefix(value, "tls::handshake_")
			}
			n = m.join(n, ev)
			continue
		}
		to := n
		for c := n; c != nil && c.id == n.id; c = c.parent {
			if modelHas(modelKeys[key], c.name) {
				to = c
				break
			}
		}
		to.keys[key] = value
	}
}

// join assigns n, which just got its name, to the session that the library was called for, if n is a handshake. If the
// session has an open handshake, n becomes a piece of that, and its root is returned.
func (m *model) join(n *node, ev *event.Event) *node {
	session := m.session[n.thread]
	if session == 0 || !isHandshake(n.name) || n.holds {
		return n
	}
	m.session[n.thread] = 0
	if n.parent != nil { // an error left the parent on the library's stack
		n.parent.children = slices.DeleteFunc(n.parent.children, func(c *node) bool { return c == n })
		m.plant(n, ev)
		n.doubt = ""
	}
	for _, t := range m.trees {
		if t.pid == ev.PID && t.session == session {
			m.trees = slices.DeleteFunc(m.trees, func(other *modelTree) bool { return other == n.tree })
			for key, value := range n.keys {
				if key != "tls::role" { // a session has only one role
					t.root.keys[key] = value
				}
			}
			delete(m.open, [2]uint64{uint64(n.thread), n.id})
			if key := ([2]uint64{uint64(t.root.thread), t.root.id}); m.open[key] == t.root {
				delete(m.open, key)
			}
			t.root.id, t.root.thread, t.last = n.id, n.thread, ev.Time
			m.open[[2]uint64{uint64(n.thread), n.id}], m.newest[n.thread] = t.root, t.root
			t.pieces, t.stale = t.pieces+1, false
			return t.root
		}
	}
	n.tree.session = session
	return n
}

func nameOf(ev *event.Event) string {
	for i := range ev.Pairs {
		if string(ev.Pairs[i].Key) == "name" {
			name := string(ev.Pairs[i].Value)
			if strings.HasPrefix(name, "tls::handshake_") {
				return "tls::handshake"
			}
			return name
		}
	}
	return ""
}
