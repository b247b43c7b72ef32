// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// modelStatuses are those of the values that differential_test.go uses.
var modelStatuses = map[string]string{
	"29": "classical", "4588": "hybrid", "513": "post_quantum", "30583": "unknown", // groups
	"1027": "classical", "2309": "post_quantum", "30000": "unknown", // signature schemes
	"ECDH": "classical", "RSA": "classical", "ML-KEM-768": "post_quantum", "ML-DSA-65": "post_quantum",
	"X25519MLKEM768": "hybrid", "made-up": "unknown", "": "",
}

// modelWorst returns the status that should worry most.
func modelWorst(statuses ...string) (worst string) {
	order := []string{"", "post_quantum", "hybrid", "unknown", "classical"}
	for _, s := range statuses {
		if slices.Index(order, s) > slices.Index(order, worst) {
			worst = s
		}
	}
	return worst
}

// whole returns n and what belongs to it.
func (n *node) whole() []*node { return append([]*node{n}, n.below()...) }

// below returns what belongs to n: all below it that is not of another handshake.
func (n *node) below() (all []*node) {
	for _, c := range n.children {
		if c.name != "tls::handshake" {
			all = append(append(all, c), c.below()...)
		}
	}
	return all
}

// within returns the nearest context of that name above n, up to the handshake that n belongs to.
func (n *node) within(name string) *node {
	for n.name != "tls::handshake" && n.parent != nil {
		if n = n.parent; n.name == name {
			return n
		}
	}
	return nil
}

// agrees reports whether an operation makes a shared secret.
func agrees(n *node) bool {
	return n.name == "pk::derive" || n.name == "pk::encapsulate" || n.name == "pk::decapsulate"
}

// own is the status of a context by what it says itself.
func (n *node) own() string {
	switch {
	case n.name == "tls::key_exchange":
		return modelStatuses[n.keys["tls::group"]]
	case n.name == "tls::sign", n.name == "tls::verify":
		return modelStatuses[n.keys["tls::signature_algorithm"]]
	case strings.HasPrefix(n.name, "pk::"):
		return modelStatuses[n.keys["pk::algorithm"]]
	}
	return ""
}

// status is the status of a context: that of the hybrid that it is a part of, if it is.
func (n *node) status() (status, part string) {
	status = n.own()
	if n.parent == nil || status == "" || status == "hybrid" {
		return status, ""
	}
	if whole, _ := n.parent.status(); whole == "hybrid" {
		return "hybrid", status
	}
	return status, ""
}

func (n *node) firstStatus() string {
	status, _ := n.status()
	return status
}

// secret is the status of a secret that is made by several operations.
func secret(operations []*node) (status string) {
	for _, o := range operations {
		switch own := o.own(); {
		case status == "" || status == own:
			status = own
		case own == "":
		case status+own == "unknownclassical", status+own == "classicalunknown":
			status = "unknown"
		default:
			status = "hybrid" // a post-quantum part protects the others
		}
	}
	return status
}

// negotiated returns the operations that made the secret of a key exchange; none if it was only offered.
func (n *node) negotiated() (operations []*node) {
	for _, c := range n.below() {
		if agrees(c) && c.within("tls::key_exchange") == n {
			operations = append(operations, c)
		}
	}
	return operations
}

// keyExchange is the status of the key exchange of a handshake or root.
func (n *node) keyExchange() string {
	var negotiated, direct string
	happened := false
	for _, c := range n.whole() {
		switch {
		case c.name == "tls::key_exchange":
			if operations := c.negotiated(); operations != nil {
				happened = true
				status, _ := c.status()
				if status == "" {
					status = secret(operations)
				}
				if n.name != "tls::handshake" {
					negotiated = modelWorst(negotiated, status)
				} else if status != "" {
					negotiated = status // the last one protects the session
				}
			}
		case agrees(c), c.name == "pk::encrypt", c.name == "pk::decrypt":
			happened = true
			if c.within("tls::key_exchange") == nil && (c.parent == nil || !agrees(c.parent)) {
				status, _ := c.status()
				direct = modelWorst(direct, status)
			}
		case c.name == "pk::generate":
			kx := c.within("tls::key_exchange")
			happened = happened || kx == nil || kx.negotiated() != nil || n.keys["tls::role"] != "client"
		case strings.HasPrefix(c.name, "pk::"), c.name == "tls::sign", c.name == "tls::verify":
			happened = true
		}
	}
	if n.name == "tls::handshake" {
		if n.keys["tls::protocol_version"] == "771" && happened {
			return "classical" // there was no other before TLS 1.3
		}
		if negotiated != "" {
			return negotiated
		}
	}
	return modelWorst(negotiated, direct)
}

// authentication is the status of the least safe signature.
func (n *node) authentication() (status string) {
	for _, c := range n.whole() {
		of, _ := c.status()
		switch c.name {
		case "tls::sign", "tls::verify":
			status = modelWorst(status, of)
		case "pk::sign", "pk::verify":
			if c == n || c.parent.firstStatus() == "" {
				status = modelWorst(status, of)
			}
		}
	}
	return status
}

// text draws a tree, as differential_test.go draws what mapping makes of it.
func (t *modelTree) text() string {
	var b strings.Builder
	if t.stale {
		t.ended = "superseded"
	}
	fmt.Fprintf(&b, "%s pieces=%d\n", t.ended, t.pieces)
	t.root.draw(&b, 1)
	return b.String()
}

func (n *node) draw(b *strings.Builder, depth int) {
	fields := map[string]string{"doubt": n.doubt}
	for key, value := range n.keys {
		if modelKeys[key] == "" || modelHas(modelKeys[key], n.name) {
			fields[key] = value
		} else {
			fields[key] = "elsewhere"
		}
	}
	if status, part := n.status(); n.name != "tls::handshake" {
		fields["status"], fields["part"] = status, part
	}
	if n.name == "tls::key_exchange" {
		fields["negotiated"] = fmt.Sprint(n.negotiated() != nil)
	}
	if n.parent == nil || n.name == "tls::handshake" {
		fields["key exchange"], fields["authentication"] = n.keyExchange(), n.authentication()
	}
	if n.parent == nil { // sums up the handshakes in it
		var inside func(c *node)
		inside = func(c *node) {
			for _, c := range c.children {
				if c.name == "tls::handshake" {
					fields["key exchange"] = modelWorst(fields["key exchange"], c.keyExchange())
					fields["authentication"] = modelWorst(fields["authentication"], c.authentication())
				}
				inside(c)
			}
		}
		inside(n)
	}
	b.WriteString(strings.Repeat("  ", depth) + cmp.Or(n.name, "crypto.context"))
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		if fields[key] != "" {
			fmt.Fprintf(b, " %s=%s", key, fields[key])
		}
	}
	b.WriteByte('\n')
	for _, c := range n.children {
		c.draw(b, depth+1)
	}
}
