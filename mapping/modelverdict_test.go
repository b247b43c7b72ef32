// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// modelStatuses maps the values that differential_test.go uses to their statuses.
var modelStatuses = map[string]string{
	"29": "classical", "19": "classical", "4588": "hybrid", "513": "post_quantum", "30583": "unknown", // groups
	"1027": "classical", "515": "classical", "2309": "post_quantum", "30000": "unknown", // signature schemes
	"curve25519-sha256": "classical", "diffie-hellman-group1-sha1": "classical", "mlkem768x25519-sha256": "hybrid",
	"ssh-rsa": "classical", "ssh-ed25519": "classical", "ssh-mldsa-65": "post_quantum",
	"ECDH": "classical", "RSA": "classical", "ML-KEM-768": "post_quantum", "ML-DSA-65": "post_quantum",
	"X25519MLKEM768": "hybrid", "made-up": "unknown", "": "",
}

// modelWeak maps "context key value" to weak reasons, separated by spaces.
var modelWeak = map[string]string{
	"tls::handshake tls::protocol_version 769": "tls_below_1_2", "tls::handshake tls::ciphersuite 5": "rc4",
	"tls::key_exchange tls::group 19":        "ec_below_224",
	"tls::sign tls::signature_algorithm 515": "sha1_signature", "tls::verify tls::signature_algorithm 515": "sha1_signature",
	"ssh::key_exchange ssh::kex_algorithm diffie-hellman-group1-sha1": "dh_below_2048 sha1_key_exchange",
	"ssh::key_exchange ssh::c2s_cipher 3des-cbc":                      "3des ssh_cbc",
	"ssh::key_exchange ssh::key_algorithm ssh-rsa":                    "sha1_signature",
	"ssh::client_key ssh::key_algorithm ssh-rsa":                      "sha1_signature",
	"ssh::server_key ssh::key_algorithm ssh-rsa":                      "sha1_signature",
	"ssh::client_key ssh::cert_signature_algorithm ssh-rsa":           "sha1_signature",
	"ssh::server_key ssh::cert_signature_algorithm ssh-rsa":           "sha1_signature",
}

// weak returns the weak reasons of a context's own data.
func (n *node) weak() (reasons []string) {
	for key, value := range n.keys {
		reasons = append(reasons, strings.Fields(modelWeak[n.name+" "+key+" "+value])...)
	}
	if n.keys["pk::algorithm"] != "" {
		if strings.HasPrefix(n.name, "pk::") && n.keys["pk::algorithm"] == "RSA" && n.keys["pk::bits"] == "1024" {
			reasons = append(reasons, "rsa_below_2048")
		}
		if (n.name == "pk::sign" || n.name == "pk::verify") && n.keys["pk::hash"] == "SHA1" {
			reasons = append(reasons, "sha1_signature")
		}
	}
	if key := n.keys["ssh::key_algorithm"]; isSSHKey(n) && n.keys["ssh::rsa_bits"] == "1024" && (key == "ssh-rsa" || key == "") {
		reasons = append(reasons, "rsa_below_2048")
	}
	return reasons
}

func isSSHKey(n *node) bool { return n.name == "ssh::client_key" || n.name == "ssh::server_key" }

// allWeak returns the weak reasons of a handshake or root, including those of the contexts that belong to it. Key
// shares that were only offered do not count.
func (n *node) allWeak() (reasons []string) {
	for _, c := range n.whole() {
		if c.name != "tls::key_exchange" || c.negotiated() != nil {
			reasons = append(reasons, c.weak()...)
		}
	}
	return reasons
}

// offered returns the groups for which a client made key shares, and whether one of them is hybrid or post-quantum.
func (n *node) offered() (groups []string, safe bool) {
	if n.name != "tls::handshake" || n.keys["tls::role"] != "client" {
		return nil, false
	}
	for _, c := range n.whole() {
		kx := c.within("tls::key_exchange")
		if c.name != "pk::generate" || kx == nil || kx.keys["tls::group"] == "" {
			continue
		}
		group := kx.keys["tls::group"]
		if !slices.Contains(groups, group) {
			groups = append(groups, group)
		}
		status := modelStatuses[group]
		safe = safe || status == "hybrid" || status == "post_quantum"
	}
	return groups, safe
}

// downgraded reports whether a handshake has a classical key exchange although its client offered a hybrid or
// post-quantum one.
func (n *node) downgraded() bool {
	_, safe := n.offered()
	return safe && n.keyExchange() == "classical"
}

// group returns the group of a handshake's last negotiated key exchange, or "" if there is none.
func (n *node) group() (group string) {
	for _, c := range n.whole() {
		if c.name == "tls::key_exchange" && c.negotiated() != nil && c.keys["tls::group"] != "" {
			group = c.keys["tls::group"]
		}
	}
	return group
}

// operation returns the operation that a context is counted as, as text; "" if it is not counted.
func (n *node) operation() string {
	of := n
	for of.parent != nil && !isHandshake(of.name) {
		of = of.parent
	}
	role := of.keys[strings.Split(of.name, "::")[0]+"::role"]
	if role != "client" && role != "server" {
		role = ""
	}
	status, _ := n.status()
	about := ""
	switch kx := n.within("tls::key_exchange"); {
	case isHandshake(n.name):
		status, about = n.keyExchange(), fmt.Sprint(n.keys["tls::protocol_version"], n.downgraded())
		if n.parent == nil {
			status = modelWorst(status, n.inside((*node).keyExchange))
			about = fmt.Sprint(n.keys["tls::protocol_version"], n.downgraded() || n.inside(func(c *node) string {
				return map[bool]string{true: "classical"}[c.downgraded()]
			}) != "")
		}
	case n.name == "tls::key_exchange" && n.negotiated() == nil, n.name == "pk::generate" && kx != nil && kx.negotiated() == nil,
		n.name == "tls::verify_cert_chain", n.name == "app::thing", n.name == "":
		return ""
	}
	return strings.Join([]string{n.name, role, status, about}, "|")
}

// inside returns the most severe status that of returns for a handshake below n.
func (n *node) inside(of func(*node) string) (worst string) {
	for _, c := range n.children {
		if isHandshake(c.name) {
			worst = modelWorst(worst, of(c))
		}
		worst = modelWorst(worst, c.inside(of))
	}
	return worst
}

// modelWorst returns the most severe status.
func modelWorst(statuses ...string) (worst string) {
	order := []string{"", "post_quantum", "hybrid", "unknown", "classical"}
	for _, s := range statuses {
		if slices.Index(order, s) > slices.Index(order, worst) {
			worst = s
		}
	}
	return worst
}

// whole returns n and the contexts that belong to it, in the order in which they were added to the tree.
func (n *node) whole() []*node {
	all := append([]*node{n}, n.below()...)
	slices.SortFunc(all, func(a, b *node) int { return cmp.Compare(a.number, b.number) })
	return all
}

// below returns the contexts below n, without handshakes and what is below those.
func (n *node) below() (all []*node) {
	for _, c := range n.children {
		if !isHandshake(c.name) {
			all = append(append(all, c), c.below()...)
		}
	}
	return all
}

// within returns the nearest context with that name above n, but not above the handshake that n belongs to. It returns
// nil if there is none.
func (n *node) within(name string) *node {
	for !isHandshake(n.name) && n.parent != nil {
		if n = n.parent; n.name == name {
			return n
		}
	}
	return nil
}

// agrees reports whether a context is an operation that makes a shared secret.
func agrees(n *node) bool {
	return n.name == "pk::derive" || n.name == "pk::encapsulate" || n.name == "pk::decapsulate"
}

// ownStatus returns the status of a context judged by its own data alone.
func (n *node) ownStatus() string {
	switch {
	case n.name == "tls::key_exchange":
		return modelStatuses[n.keys["tls::group"]]
	case n.name == "tls::sign", n.name == "tls::verify":
		return modelStatuses[n.keys["tls::signature_algorithm"]]
	case strings.HasPrefix(n.name, "pk::"):
		return modelStatuses[n.keys["pk::algorithm"]]
	case n.name == "ssh::key_exchange":
		return modelStatuses[n.keys["ssh::kex_algorithm"]]
	case isSSHKey(n):
		status := modelStatuses[n.keys["ssh::key_algorithm"]]
		if n.keys["ssh::key_algorithm"] == "" && n.keys["ssh::rsa_bits"] != "" {
			status = "classical"
		}
		return modelWorst(status, modelStatuses[n.keys["ssh::cert_signature_algorithm"]])
	}
	return ""
}

// status returns the status of a context. If the parent is a hybrid, the context is a part of it: status is then that
// of the hybrid, and part is the context's own.
func (n *node) status() (status, part string) {
	status = n.ownStatus()
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

// secret returns the status of a secret that several operations made together.
func secret(operations []*node) (status string) {
	for _, o := range operations {
		switch own := o.ownStatus(); {
		case status == "" || status == own:
			status = own
		case own == "":
		case status+own == "unknownclassical", status+own == "classicalunknown":
			status = "unknown"
		default:
			status = "hybrid" // the operations differ, and one is post-quantum or hybrid
		}
	}
	return status
}

// negotiated returns the operations that made the secret of a key exchange, or none if it was only offered.
func (n *node) negotiated() (operations []*node) {
	for _, c := range n.below() {
		if agrees(c) && c.within("tls::key_exchange") == n {
			operations = append(operations, c)
		}
	}
	return operations
}

// keyExchange returns the status of the key exchange of a handshake or root.
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
					negotiated = status // the last negotiated key exchange protects the session
				}
			}
		case c.name == "ssh::key_exchange":
			status, _ := c.status()
			direct, happened = modelWorst(direct, status), true
		case agrees(c), c.name == "pk::encrypt", c.name == "pk::decrypt":
			happened = true
			if c.within("tls::key_exchange") == nil && c.within("ssh::key_exchange") == nil && (c.parent == nil || !agrees(c.parent)) {
				status, _ := c.status()
				direct = modelWorst(direct, status)
			}
		case c.name == "pk::generate":
			kx := c.within("tls::key_exchange")
			happened = happened || kx == nil || kx.negotiated() != nil || n.keys["tls::role"] != "client"
		case strings.HasPrefix(c.name, "pk::"), c.name == "tls::sign", c.name == "tls::verify", isSSHKey(c):
			happened = true
		}
	}
	if n.name == "tls::handshake" {
		if version := n.keys["tls::protocol_version"]; (version == "771" || version == "769") && happened {
			return "classical" // all key exchanges before TLS 1.3 are classical
		}
		if negotiated != "" {
			return negotiated
		}
	}
	return modelWorst(negotiated, direct)
}

// authentication returns the most severe status of the signatures in a handshake or root.
func (n *node) authentication() (status string) {
	for _, c := range n.whole() {
		of, _ := c.status()
		switch c.name {
		case "tls::sign", "tls::verify", "ssh::client_key", "ssh::server_key":
			status = modelWorst(status, of)
		case "ssh::key_exchange":
			status = modelWorst(status, modelStatuses[c.keys["ssh::key_algorithm"]])
		case "pk::sign", "pk::verify":
			if c == n || c.parent.firstStatus() == "" {
				status = modelWorst(status, of)
			}
		}
	}
	return status
}

// text returns a tree as text in the format of drawTree in differential_test.go.
func (t *modelTree) text() string {
	var b strings.Builder
	if t.stale {
		t.ended = "superseded"
	}
	fmt.Fprintf(&b, "%s pieces=%d\n", t.ended, t.pieces)
	t.root.draw(&b, 1)
	var counted []string
	for _, c := range append([]*node{t.root}, t.root.all()...) {
		if operation := c.operation(); operation != "" {
			counted = append(counted, operation)
		}
	}
	slices.Sort(counted)
	fmt.Fprintln(&b, " ", counted)
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
	if status, part := n.status(); !isHandshake(n.name) {
		fields["status"], fields["part"] = status, part
	}
	weak := n.weak()
	if n.name == "tls::key_exchange" {
		fields["negotiated"] = fmt.Sprint(n.negotiated() != nil)
	}
	if n.parent == nil || isHandshake(n.name) {
		fields["key exchange"], fields["authentication"] = n.keyExchange(), n.authentication()
		downgraded := n.downgraded()
		weak = n.allWeak()
		if n.parent == nil { // a root summarizes the handshakes below it
			fields["key exchange"] = modelWorst(fields["key exchange"], n.inside((*node).keyExchange))
			fields["authentication"] = modelWorst(fields["authentication"], n.inside((*node).authentication))
			for _, c := range n.all() {
				if isHandshake(c.name) {
					downgraded = downgraded || c.downgraded()
					weak = append(weak, c.allWeak()...)
				}
			}
		}
		if downgraded {
			fields["downgraded"] = "true"
		}
	}
	if n.name == "tls::handshake" {
		groups, _ := n.offered()
		fields["offered"], fields["negotiated group"] = strings.Join(groups, ","), n.group()
	}
	slices.Sort(weak)
	fields["weak"] = strings.Join(slices.Compact(weak), ",")
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

// all returns all contexts below n.
func (n *node) all() (all []*node) {
	for _, c := range n.children {
		all = append(append(all, c), c.all()...)
	}
	return all
}
