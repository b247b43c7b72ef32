// SPDX-License-Identifier: Apache-2.0

package meaning

import (
	"github.com/crau-otel/crau-otel/mapping/registry"
	"github.com/crau-otel/crau-otel/mapping/schema"
)

// operation returns the operation that metrics count for c, without its duration. ok is false if nothing is counted for
// c, for example because c is a key share that was only offered, or the generation of the key for one.
func (c *context) operation(executable string) (op Operation, ok bool) {
	j := &c.judgement
	handshake := c.summarizer()
	op = Operation{Executable: executable, Name: c.spanName(), Role: handshake.sideName(), Status: j.status}
	switch c.class() {
	case schema.ClassTLSHandshake, schema.ClassSSHHandshake:
		op.Handshake = true
		op.ProtocolName, op.ProtocolVersion = c.protocol()
		if j.summary != nil {
			op.Status, op.Downgraded = j.summary.keyExchange, j.summary.downgraded
		}
		return op, true
	case schema.ClassTLSKeyExchange:
		if id, ok := c.word(schema.KeyTLSGroup); ok {
			op.Algorithm = registry.TLSGroupName(id)
		}
		return op, j.agreed
	case schema.ClassTLSSignature:
		if id, ok := c.word(schema.KeyTLSSignatureAlgorithm); ok {
			op.Algorithm = registry.TLSSignatureSchemeName(id)
		}
		return op, true
	case schema.ClassSSHKeyExchange:
		op.Algorithm = registry.SSHKeyExchangeName(c.text(schema.KeySSHKexAlgorithm))
		return op, true
	case schema.ClassSSHKey:
		op.Algorithm = registry.SSHKeyAlgorithmName(c.text(schema.KeySSHKeyAlgorithm))
		return op, true
	case schema.ClassGenerate:
		op.Algorithm = registry.PublicKeyName(c.text(schema.KeyPKAlgorithm))
		kx := c.within(schema.ClassTLSKeyExchange)
		return op, kx == nil || kx.judgement.agreed
	case schema.ClassAgreement, schema.ClassTransport, schema.ClassSignature:
		op.Algorithm = registry.PublicKeyName(c.text(schema.KeyPKAlgorithm))
		return op, true
	case schema.ClassOther:
	}
	return op, false
}

// protocol returns the protocol of a handshake and its version: see [Operation] for the values.
func (c *context) protocol() (name, version string) {
	if c.class() == schema.ClassSSHHandshake {
		return "ssh", ""
	}
	id, ok := c.word(schema.KeyTLSProtocolVersion)
	if !ok {
		return "", ""
	}
	if v := registry.TLSVersion(id); v.Protocol != "" {
		return v.Protocol, v.Name
	}
	return "", registry.UnknownName
}
