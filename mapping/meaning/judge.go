// SPDX-License-Identifier: Apache-2.0

package meaning

import (
	"slices"
	"strings"

	"github.com/crau-otel/crau-otel/mapping/memo"
	"github.com/crau-otel/crau-otel/mapping/registry"
	"github.com/crau-otel/crau-otel/mapping/schema"
)

// judgement is what a context's own data, and the operations below it, show about its safety.
type judgement struct {
	status registry.Status // status of the operation, or of the whole hybrid that the operation is part of
	part   registry.Status // for a part of a hybrid: the status that the operation would have alone
	weak   []string        // weak reasons of package registry

	// These fields describe a key exchange.
	agreed    bool            // a shared secret was made below the key exchange, so it was negotiated
	generated bool            // a key was generated below the key exchange
	secrets   registry.Status // combined status of the operations that made the shared secret

	summary *summary // nil if the context is neither a root nor a handshake

	untrusted bool // for a root: a file that contributed to the tree is not trusted
}

// clone returns a copy of j. Changing the summary of the copy does not change j's.
func (j judgement) clone() judgement {
	if j.summary != nil {
		s := *j.summary
		s.weak, s.offered = slices.Clone(s.weak), slices.Clone(s.offered)
		j.summary = &s
	}
	return j
}

// judge judges c by its own data and by its parent. It must be called for the parent first.
func (c *context) judge(known *publicKeys) {
	j := &c.judgement
	j.status, j.weak = c.judgeAlone(known)
	j.part = registry.NotApplicable
	if c.class() == schema.ClassTLSKeyExchange {
		if negotiated, ok := c.word(schema.KeyTLSNegotiated); ok && negotiated != 0 {
			j.agreed = true
		}
	}
	if c.above == nil || j.status == registry.NotApplicable || c.trusted && !c.above.trusted {
		return
	}
	if whole := c.above.judgement.status; whole == registry.Hybrid && j.status != registry.Hybrid {
		j.part, j.status = j.status, registry.Hybrid
	}
}

func (c *context) judgeAlone(known *publicKeys) (status registry.Status, weak []string) {
	switch c.class() {
	case schema.ClassTLSKeyExchange:
		if id, ok := c.word(schema.KeyTLSGroup); ok {
			g := registry.TLSGroup(id)
			return g.Status, g.Weak
		}
		if bits, ok := c.word(schema.KeyTLSPrimeBits); ok && bits < 2048 {
			weak = []string{registry.WeakDHBelow2048}
		}
		if id, ok := c.word(schema.KeyTLSKeyExchangeAlgorithm); ok {
			_, status = registry.TLSKeyExchangeAlgorithm(id)
			return status, weak
		}
	case schema.ClassTLSSignature:
		if id, ok := c.word(schema.KeyTLSSignatureAlgorithm); ok {
			s := registry.TLSSignatureScheme(id)
			return s.Status, s.Weak
		}
	case schema.ClassSSHKeyExchange:
		return c.judgeSSHKeyExchange()
	case schema.ClassSSHKey:
		return c.judgeSSHKey()
	case schema.ClassGenerate, schema.ClassAgreement, schema.ClassTransport, schema.ClassSignature:
		of := publicKey{
			operation: c.Name.Context.Name,
			algorithm: c.text(schema.KeyPKAlgorithm),
			curve:     c.text(schema.KeyPKCurve),
			group:     c.text(schema.KeyPKGroup),
			hash:      c.text(schema.KeyPKHash),
		}
		if of.algorithm == "" && of.curve == "" && of.group == "" {
			return registry.NotApplicable, nil
		}
		of.bits, _ = c.word(schema.KeyPKBits)
		return known.judge(of)
	case schema.ClassTLSHandshake:
		if id, ok := c.word(schema.KeyTLSProtocolVersion); ok {
			weak = registry.TLSVersion(id).Weak
		}
		if id, ok := c.word(schema.KeyTLSCipherSuite); ok {
			weak = append(slices.Clip(weak), registry.TLSCipherSuite(id).Weak...)
		}
		return registry.NotApplicable, weak
	case schema.ClassSSHHandshake, schema.ClassOther:
	}
	return registry.NotApplicable, nil
}

// judgeSSHKeyExchange judges everything that an SSH key exchange negotiated. The status is the one of the key exchange
// method. The weak reasons are those of the method, the ciphers, the MACs and the host key algorithm.
func (c *context) judgeSSHKeyExchange() (status registry.Status, weak []string) {
	add := func(reasons []string) { weak = union(weak, reasons) }
	if group := c.text(schema.KeySSHKexGroup); group != "" {
		var ofGroup []string
		status, ofGroup = registry.SSHKeyExchangeGroup(group)
		add(ofGroup)
	}
	if name := c.text(schema.KeySSHKexAlgorithm); name != "" {
		var ofMethod []string
		status, ofMethod = registry.SSHKeyExchange(name)
		add(ofMethod)
	}
	for _, direction := range []struct{ cipher, mac schema.KeyID }{
		{schema.KeySSHCipherC2S, schema.KeySSHMACC2S}, {schema.KeySSHCipherS2C, schema.KeySSHMACS2C},
	} {
		cipher := c.text(direction.cipher)
		add(registry.SSHCipher(cipher))
		if !registry.SSHCipherAuthenticates(cipher) {
			add(registry.SSHMAC(c.text(direction.mac)))
		}
	}
	_, ofKey := c.judgeSSHHostKey()
	add(ofKey)
	return status, weak
}

// judgeSSHHostKey judges the host key algorithm that a key exchange negotiated. It returns NotApplicable if GSS-API
// authenticates the server instead of a host key: RFC 4462, 5.
func (c *context) judgeSSHHostKey() (status registry.Status, weak []string) {
	name := c.text(schema.KeySSHKeyAlgorithm)
	if name == "" || name == "null" || strings.HasPrefix(c.text(schema.KeySSHKexAlgorithm), "gss-") {
		return registry.NotApplicable, nil
	}
	return registry.SSHKeyAlgorithm(name, 0)
}

// judgeSSHKey judges an SSH key and, if it has a certificate, the signature of the certificate. The worse status
// counts, because an attacker who can forge either of them is authenticated.
func (c *context) judgeSSHKey() (status registry.Status, weak []string) {
	name := c.text(schema.KeySSHKeyAlgorithm)
	bits, _ := c.word(schema.KeySSHRSABits)
	if name != "" || bits != 0 {
		status, weak = registry.SSHKeyAlgorithm(name, bits)
	}
	if by := c.text(schema.KeySSHCertSignature); by != "" {
		ofCert, weakCert := registry.SSHKeyAlgorithm(by, 0)
		status, weak = worse(status, ofCert), union(slices.Clip(weak), weakCert)
	}
	return status, weak
}

// union appends to weak the reasons that it does not contain yet, and returns it.
func union(weak, reasons []string) []string {
	for _, reason := range reasons {
		if !slices.Contains(weak, reason) {
			weak = append(weak, reason)
		}
	}
	return weak
}

// reportUpwards records the result of c's operation in the judgement of the key exchange that contains c, if there is
// one.
func (c *context) reportUpwards() {
	kx := c.within(schema.ClassTLSKeyExchange)
	if kx == nil {
		kx = c.within(schema.ClassSSHKeyExchange)
	}
	if kx == nil {
		return
	}
	switch c.class() {
	case schema.ClassGenerate:
		kx.judgement.generated = true
	case schema.ClassAgreement:
		kx.judgement.agreed = true
		alone := c.judgement.status
		if c.judgement.part != registry.NotApplicable {
			alone = c.judgement.part
		}
		kx.judgement.secrets = combined(kx.judgement.secrets, alone)
	default:
	}
}

// publicKey holds the arguments of [registry.PublicKey] for one operation.
type publicKey struct {
	operation, algorithm, curve, group, hash string
	bits                                     uint64
}

// verdict is the registry's result for a public key operation.
type verdict struct {
	status registry.Status
	weak   []string
}

// publicKeys caches verdicts, because interpreting spellings is slow and programs repeat the same few operations.
type publicKeys struct {
	table memo.Table[publicKey, verdict]
}

func newPublicKeys() publicKeys { return publicKeys{memo.New[publicKey, verdict](64)} }

func (k *publicKeys) judge(of publicKey) (registry.Status, []string) {
	hash := memo.Sample(of.algorithm) ^ memo.Sample(of.curve)<<8 ^ memo.Sample(of.group)<<16 ^ memo.Sample(of.hash)<<24 ^
		memo.Sample(of.operation)<<32 ^ of.bits<<16
	if v := k.table.Get(hash, of); v != nil {
		return v.status, v.weak
	}
	var v verdict
	v.status, v.weak = registry.PublicKey(of.operation, of.algorithm, of.curve, of.group, of.hash, of.bits)
	k.table.Put(hash, of, v)
	return v.status, v.weak
}

// severity orders statuses: classical is the most severe, then unknown.
var severity = [...]int{
	registry.NotApplicable: 0, registry.PostQuantum: 1, registry.Hybrid: 2, registry.Unknown: 3, registry.Classical: 4,
}

func worse(a, b registry.Status) registry.Status {
	if severity[b] > severity[a] {
		return b
	}
	return a
}

// combined returns the status of a secret that two operations made together. If only one of them is
// post-quantum, the secret is hybrid, because the post-quantum operation protects it.
func combined(a, b registry.Status) registry.Status {
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

// isSafe reports whether a key exchange with status s withstands a quantum computer.
func isSafe(s registry.Status) bool { return s == registry.PostQuantum || s == registry.Hybrid }
