// SPDX-License-Identifier: Apache-2.0

package policy

// set is a built-in set of rules.
type set struct {
	name  string
	rules []Rule
}

// The attributes that the rules about statuses test, and the status that pq-only and cnsa-2.0 require. A root that
// exchanged no keys, such as a resumption with only a pre-shared key, has no key exchange status and so does not
// violate these rules.
const (
	keyExchangeStatus    = "crypto.pqc.key_exchange.status"
	authenticationStatus = "crypto.pqc.authentication.status"
	postQuantum          = "post_quantum"
)

// The signature and key establishment algorithms of CNSA 2.0, as GnuTLS, OpenSSL and X.509 spell them, in upper or
// lower case. CNSA 2.0 allows LMS and XMSS only for signing firmware and software. They match here in any operation,
// because an operation does not show what is signed. HSS and XMSS^MT (the multi-tree forms of LMS and XMSS),
// HashML-DSA, SLH-DSA and all hybrids are not in the suite.
const (
	cnsaSignature = `(?i)^(id-)?(ml[-_]?dsa[-_]?87|lms([-_].*)?|xmss([-_]sha.*)?)$`
	cnsaKEM       = `(?i)^(id-alg-)?ml[-_]?kem[-_]?1024$`
)

// sets contains the built-in sets, in the order in which error messages and docs/attributes.md list them.
//
// hybrid-ok protects against "harvest now, decrypt later": key exchanges must have a post-quantum part. Key exchanges
// of status unknown violate it as classical ones do. Authentication may be classical.
//
// pq-only requires the status post_quantum for key exchange and for authentication, so hybrids violate it.
//
// cnsa-2.0 adds to pq-only the parameters of NSA's Commercial National Security Algorithm Suite 2.0: ML-KEM-1024
// (FIPS 203), ML-DSA-87 (FIPS 204), LMS and XMSS (SP 800-208), AES-256, SHA-384 and SHA-512. Sources: "Announcing the
// Commercial National Security Algorithm Suite 2.0" (NSA, U/OO/194427-22, September 2022) and its FAQ (version 2.1,
// December 2024); for TLS draft-becker-cnsa2-tls-profile-05 (1.3 only, MLKEM1024, mldsa87, TLS_AES_256_GCM_SHA384); for
// SSH draft-becker-cnsa2-ssh-profile with the names of draft-harrison-sshm-mlkem and draft-sfluhrer-ssh-mldsa. The
// following decisions are this project's:
//
//   - Only the negotiated group counts, which is the group of the tls::handshake span. Offering other groups does not
//     violate the policy. Therefore no rule tests pk::generate, which also makes the keys of shares that no peer
//     accepts.
//   - Signature schemes are tested in all spans, and pk operations both inside and outside a handshake: the signature
//     of a classical certificate authority is a pk::verify span below tls::verify_cert_chain.
//   - pk::derive always violates the policy, because it is Diffie-Hellman; so do pk::encrypt and pk::decrypt, because
//     they are RSA or SM2.
//   - Hashes are not tested. A signature outside the suite violates the policy with any hash; ML-DSA-87 has its own
//     hash, and LMS and XMSS may use SHA-256.
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

// rulesOf returns the rules of a built-in set, and whether the name is valid. "" is valid and has no rules.
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
