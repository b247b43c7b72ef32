// SPDX-License-Identifier: Apache-2.0

package meaning

import (
	"github.com/crau-otel/crau-otel/mapping/registry"
	"github.com/crau-otel/crau-otel/mapping/schema"
)

// operation returns what to count for a context, without its duration. ok is false for one that is no operation, such
// as a share that was only offered and the making of its key.
func (c *context) operation(executable string) (op Operation, ok bool) {
	j := &c.judgement
	op = Operation{Executable: executable, Name: c.spanName(), Role: c.summarizer().role(), Status: j.status}
	switch c.class() {
	case schema.ClassTLSHandshake, schema.ClassSSHHandshake:
		op.Handshake = true
		if j.summary != nil {
			op.Status = j.summary.keyExchange
		}
		return op, true
	case schema.ClassTLSKeyExchange:
		if id, ok := c.word(schema.KeyTLSGroup); ok {
			op.Algorithm = registry.TLSGroup(id).Name
		}
		return op, j.agreed
	case schema.ClassTLSSignature:
		if id, ok := c.word(schema.KeyTLSSignatureAlgorithm); ok {
			op.Algorithm = registry.TLSSignatureScheme(id).Name
		}
		return op, true
	case schema.ClassSSHKeyExchange:
		op.Algorithm = c.text(schema.KeySSHKexAlgorithm)
		return op, true
	case schema.ClassSSHKey:
		op.Algorithm = c.text(schema.KeySSHKeyAlgorithm)
		return op, true
	case schema.ClassGenerate:
		op.Algorithm = c.text(schema.KeyPKAlgorithm)
		kx := c.within(schema.ClassTLSKeyExchange)
		return op, kx == nil || kx.judgement.agreed
	case schema.ClassAgreement, schema.ClassTransport, schema.ClassSignature:
		op.Algorithm = c.text(schema.KeyPKAlgorithm)
		return op, true
	case schema.ClassOther:
	}
	return op, false
}
