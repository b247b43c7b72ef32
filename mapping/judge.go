// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"slices"

	"github.com/crau-otel/crau-otel/mapping/registry"
)

// judgement is what a context's own data, and the operations below it, say of its safety.
type judgement struct {
	status registry.Status // of the operation; that of the whole if it is a part of a hybrid
	part   registry.Status // what the status would be alone, if it is a part of a hybrid
	weak   []string        // reasons, in the registry's words

	// Of a key exchange.
	agreed    bool            // a shared secret was made below it
	generated bool            // a key was generated below it
	secrets   registry.Status // of the operations that made the secret, taken together

	sum *summary // of a root or a handshake
}

// judge judges a context by its own data and its parent's.
func (n *node) judge(known *judged) {
	j := &n.judgement
	j.status, j.weak = n.judgeAlone(known)
	j.part = registry.NotApplicable
	if n.parent == nil || j.status == registry.NotApplicable {
		return
	}
	if whole := n.parent.judgement.status; whole == registry.Hybrid && j.status != registry.Hybrid {
		j.part, j.status = j.status, registry.Hybrid
	}
}

func (n *node) judgeAlone(known *judged) (status registry.Status, weak []string) {
	switch n.class() {
	case classTLSKeyExchange:
		if id, ok := n.word(keyTLSGroup); ok {
			g := registry.TLSGroup(id)
			return g.Status, g.Weak
		}
		if id, ok := n.word(keyTLSKeyExchangeAlgorithm); ok {
			_, status, _ = registry.TLSKeyExchangeAlgorithm(id)
			return status, nil
		}
	case classTLSSignature:
		if id, ok := n.word(keyTLSSignatureAlgorithm); ok {
			s := registry.TLSSignatureScheme(id)
			return s.Status, s.Weak
		}
	case classSSHKeyExchange:
		if name := n.text(keySSHKexAlgorithm); name != "" {
			status, weak = registry.SSHKeyExchange(name)
			return status, weak
		}
	case classSSHKey:
		if name := n.text(keySSHKeyAlgorithm); name != "" {
			status, weak = registry.SSHKeyAlgorithm(name)
			return status, weak
		}
	case classGenerate, classAgreement, classTransport, classSignature:
		algorithm, curve, group := n.text(keyPKAlgorithm), n.text(keyPKCurve), n.text(keyPKGroup)
		if algorithm == "" && curve == "" && group == "" {
			return registry.NotApplicable, nil
		}
		bits, _ := n.word(keyPKBits)
		return known.publicKey(publicKey{n.schema.name, algorithm, curve, group, n.text(keyPKHash), bits})
	case classTLSHandshake:
		if id, ok := n.word(keyTLSProtocolVersion); ok {
			weak = registry.TLSVersion(id).Weak
		}
		if id, ok := n.word(keyTLSCipherSuite); ok {
			weak = append(slices.Clip(weak), registry.TLSCipherSuite(id).Weak...)
		}
		return registry.NotApplicable, weak
	case classSSHHandshake, classOther:
	}
	return registry.NotApplicable, nil
}

// publicKey is what a public key operation tells, for [registry.PublicKey].
type publicKey struct {
	operation, algorithm, curve, group, hash string
	bits                                     uint64
}

// judged remembers public key operations, since spellings take long to read and come again and again.
type judged [64]struct {
	publicKey
	status registry.Status
	weak   []string
	known  bool
}

func (j *judged) publicKey(of publicKey) (status registry.Status, weak []string) {
	i := len(of.operation) + 3*len(of.algorithm) + 5*len(of.curve) + 7*len(of.group) + 11*len(of.hash) + int(of.bits%1021)
	r := &j[i%len(j)]
	if !r.known || r.publicKey != of {
		r.publicKey, r.known = of, true
		r.status, r.weak = registry.PublicKey(of.operation, of.algorithm, of.curve, of.group, of.hash, of.bits)
	}
	return r.status, r.weak
}

// severity orders statuses by how much they should worry: what is known to be classical most, then the unknown.
var severity = [...]int{
	registry.NotApplicable: 0, registry.PostQuantum: 1, registry.Hybrid: 2, registry.Unknown: 3, registry.Classical: 4,
}

func worse(a, b registry.Status) registry.Status {
	if severity[b] > severity[a] {
		return b
	}
	return a
}

// together returns the status of one secret made by two operations: a post-quantum one protects a classical one.
func together(a, b registry.Status) registry.Status {
	switch {
	case a == b, b == registry.NotApplicable:
		return a
	case a == registry.NotApplicable:
		return b
	case a == registry.Unknown && b == registry.Classical, a == registry.Classical && b == registry.Unknown:
		return registry.Unknown
	}
	return registry.Hybrid
}

// safe reports whether a key exchange of that status withstands a quantum computer.
func safe(s registry.Status) bool { return s == registry.PostQuantum || s == registry.Hybrid }

// within returns the nearest context of the class above n.
func (n *node) within(c class) *node {
	for n = n.parent; n != nil && n.class() != c; n = n.parent {
	}
	return n
}

// summarized returns the context whose summary n goes into: the handshake it belongs to, else its root.
func (n *node) summarized() *node {
	for n.parent != nil && !n.schema.handshake() {
		n = n.parent
	}
	return n
}

// notice tells the contexts above n what n's operation means for them.
func (n *node) notice() {
	kx := n.within(classTLSKeyExchange)
	if kx == nil {
		kx = n.within(classSSHKeyExchange)
	}
	if kx == nil {
		return
	}
	switch n.class() {
	case classGenerate:
		kx.judgement.generated = true
	case classAgreement:
		kx.judgement.agreed = true
		own := n.judgement.status
		if n.judgement.part != registry.NotApplicable {
			own = n.judgement.part
		}
		kx.judgement.secrets = together(kx.judgement.secrets, own)
	default:
	}
}
