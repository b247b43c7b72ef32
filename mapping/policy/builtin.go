// SPDX-License-Identifier: Apache-2.0

package policy

// set is a built-in set of rules.
type set struct {
	name  string
	rules []Rule
}

// The statuses of crypto.pqc.key_exchange.status and crypto.pqc.authentication.status that rules name. A root that
// exchanged no keys, such as a resumption with only a pre-shared key, has no status, so it violates nothing.
const (
	keyExchangeStatus    = "crypto.pqc.key_exchange.status"
	authenticationStatus = "crypto.pqc.authentication.status"
	postQuantum          = "post_quantum"
)

// The signatures and key establishment of CNSA 2.0, as GnuTLS, OpenSSL and X.509 spell them, in upper or lower case.
// LMS and XMSS are for signing firmware and software. An operation does not show what is signed, so they pass. Their
// multi-tree forms HSS and XMSS^MT, HashML-DSA, SLH-DSA and all hybrids are not in the suite.
const (
	cnsaSignature = `(?i)^(id-)?(ml[-_]?dsa[-_]?87|lms([-_].*)?|xmss([-_]sha.*)?)$`
	cnsaKEM       = `(?i)^(id-alg-)?ml[-_]?kem[-_]?1024$`
)

// sets contains the built-in sets in the order in which they are listed for users.
//
// hybrid-ok is about harvest now, decrypt later: key exchanges must have a post-quantum part. Algorithms that are in no
// table count as classical. Authentication may be classical.
//
// pq-only requires post-quantum algorithms alone for both; hybrids violate.
//
// cnsa-2.0 adds to pq-only the parameters of NSA's Commercial National Security Algorithm Suite 2.0: ML-KEM-1024
// (FIPS 203), ML-DSA-87 (FIPS 204), LMS and XMSS (SP 800-208), AES-256, SHA-384 and SHA-512. Sources: "Announcing the
// Commercial National Security Algorithm Suite 2.0" (NSA, U/OO/194427-22, September 2022) and its FAQ (version 2.1,
// December 2024); for TLS draft-becker-cnsa2-tls-profile-05 (1.3 only, MLKEM1024, mldsa87, TLS_AES_256_GCM_SHA384); for
// SSH draft-becker-cnsa2-ssh-profile with the names of draft-harrison-sshm-mlkem and draft-sfluhrer-ssh-mldsa. The
// following decisions are ours:
//
//   - Only the negotiated group counts, which is the group of the tls::handshake span. Offering others does not violate.
//     Therefore pk::generate is not judged: it also makes the keys of offers that no peer accepts.
//   - A signature scheme counts wherever a span names one, and pk operations count both inside and outside a handshake:
//     a classical certificate authority shows as a pk::verify below tls::verify_cert_chain.
//   - pk::derive is Diffie-Hellman, and pk::encrypt and pk::decrypt are RSA or SM2: none of them is in the suite.
//   - Hashes are not judged. A signature outside the suite violates with any hash; ML-DSA-87 has its own hash, and LMS
//     and XMSS may use SHA-256.
var sets = []set{
	{"none", nil},
	{"hybrid-ok", []Rule{
		{Name: "hybrid-ok/key-exchange", Attribute: keyExchangeStatus, Operator: "in", Value: []any{"classical", "unknown"}},
	}},
	{"pq-only", []Rule{
		{Name: "pq-only/key-exchange", Attribute: keyExchangeStatus, Operator: "not_equals", Value: postQuantum},
		{Name: "pq-only/authentication", Attribute: authenticationStatus, Operator: "not_equals", Value: postQuantum},
	}},
	{"cnsa-2.0", []Rule{
		{Name: "cnsa-2.0/key-exchange", Attribute: keyExchangeStatus, Operator: "not_equals", Value: postQuantum},
		{Name: "cnsa-2.0/authentication", Attribute: authenticationStatus, Operator: "not_equals", Value: postQuantum},

		{Name: "cnsa-2.0/tls-version", Attribute: "tls.protocol.version", Operator: "not_equals", Value: "1.3"},
		{Name: "cnsa-2.0/tls-cipher", Attribute: "tls.cipher", Operator: "not_equals", Value: "TLS_AES_256_GCM_SHA384"},
		{Name: "cnsa-2.0/tls-group", Attribute: "tls.group.name", Operator: "not_equals", Value: "MLKEM1024", Span: "tls::handshake"},
		{Name: "cnsa-2.0/tls-signature", Attribute: "tls.signature_scheme.name", Operator: "not_equals", Value: "mldsa87"},

		{Name: "cnsa-2.0/ssh-key-exchange", Attribute: "ssh.kex_algorithm", Operator: "not_equals", Value: "mlkem1024-sha384"},
		{Name: "cnsa-2.0/ssh-key", Attribute: "ssh.key_algorithm", Operator: "not_matches", Value: `^(x509v3-)?ssh-mldsa-87$`},
		{Name: "cnsa-2.0/ssh-cipher-c2s", Attribute: "ssh.c2s_cipher", Operator: "not_matches", Value: `(?i)^(aead_)?aes_?256`},
		{Name: "cnsa-2.0/ssh-cipher-s2c", Attribute: "ssh.s2c_cipher", Operator: "not_matches", Value: `(?i)^(aead_)?aes_?256`},

		{Name: "cnsa-2.0/pk-sign", Attribute: "pk.algorithm", Operator: "not_matches", Value: cnsaSignature, Span: "pk::sign"},
		{Name: "cnsa-2.0/pk-verify", Attribute: "pk.algorithm", Operator: "not_matches", Value: cnsaSignature, Span: "pk::verify"},
		{Name: "cnsa-2.0/pk-encapsulate", Attribute: "pk.algorithm", Operator: "not_matches", Value: cnsaKEM, Span: "pk::encapsulate"},
		{Name: "cnsa-2.0/pk-decapsulate", Attribute: "pk.algorithm", Operator: "not_matches", Value: cnsaKEM, Span: "pk::decapsulate"},
		{Name: "cnsa-2.0/pk-classical", Attribute: spanName, Operator: "in", Value: []any{"pk::derive", "pk::encrypt", "pk::decrypt"}},
	}},
}

// rulesOf returns the rules of a set. "" is the set without rules.
func rulesOf(name string) (rules []Rule, known bool) {
	for _, s := range sets {
		if s.name == name {
			return s.rules, true
		}
	}
	return nil, name == ""
}

func setNames() []string {
	var names []string
	for _, s := range sets {
		names = append(names, s.name)
	}
	return names
}
