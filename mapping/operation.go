// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"time"

	"github.com/crau-otel/crau-otel/mapping/registry"
)

// Operation is one use of cryptography, for counting, or a span that is none and violates the policy: it has no name.
type Operation struct {
	Executable string
	Name       string // the span's: pk::sign
	Algorithm  string // the group's, scheme's or algorithm's name; "" if not told
	Role       string // of the handshake it belongs to: client, server or ""
	Status     registry.Status
	Violations []string // names of the rules of the policy that it violates

	// Handshake is set for handshakes, which have a duration and no algorithm; Status is their key exchange's.
	Handshake bool
	Duration  time.Duration
}

// operation returns what to count of a context, without its duration; ok is false for one that is no operation, such as a share that was
// only offered and the making of its key.
func (n *node) operation(executable string) (op Operation, ok bool) {
	j := &n.judgement
	op = Operation{Executable: executable, Name: n.spanName(), Status: j.status}
	op.Role = n.summarized().role()
	switch n.class() {
	case classTLSHandshake, classSSHHandshake:
		op.Handshake = true
		if j.sum != nil {
			op.Status = j.sum.keyExchange
		}
		return op, true
	case classTLSKeyExchange:
		if id, told := n.word(keyTLSGroup); told {
			op.Algorithm = registry.TLSGroup(id).Name
		}
		return op, j.agreed
	case classTLSSignature:
		if id, told := n.word(keyTLSSignatureAlgorithm); told {
			op.Algorithm = registry.TLSSignatureScheme(id).Name
		}
		return op, true
	case classSSHKeyExchange:
		op.Algorithm = n.text(keySSHKexAlgorithm)
		return op, true
	case classSSHKey:
		op.Algorithm = n.text(keySSHKeyAlgorithm)
		return op, true
	case classGenerate:
		op.Algorithm = n.text(keyPKAlgorithm)
		kx := n.within(classTLSKeyExchange)
		return op, kx == nil || kx.judgement.agreed
	case classAgreement, classTransport, classSignature:
		op.Algorithm = n.text(keyPKAlgorithm)
		return op, true
	case classOther:
	}
	return op, false
}
