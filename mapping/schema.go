// SPDX-License-Identifier: Apache-2.0

package mapping

// schema says what a context of one name may hold.
type schema struct {
	keys  map[string]bool // keys that belong to the context itself
	holds map[string]bool // names of contexts that may open below it
	root  bool            // starts a new tree unless it was linked to a parent
}

// schemas has the registered context names, the old ones included. GnuTLS puts pk contexts directly below a TLS 1.2
// handshake, so a handshake holds them too; an inner context that also does comes first.
var schemas = map[string]*schema{
	"pk::sign":        leaf("pk::algorithm", "pk::curve", "pk::bits", "pk::hash", "pk::rsa_padding"),
	"pk::verify":      leaf("pk::algorithm", "pk::curve", "pk::bits", "pk::hash", "pk::rsa_padding"),
	"pk::encrypt":     leaf("pk::algorithm", "pk::bits", "pk::hash", "pk::rsa_padding"),
	"pk::decrypt":     leaf("pk::algorithm", "pk::bits", "pk::hash", "pk::rsa_padding"),
	"pk::generate":    leaf("pk::algorithm", "pk::curve", "pk::group", "pk::bits"),
	"pk::derive":      leaf("pk::algorithm", "pk::curve", "pk::group", "pk::bits", "pk::static"),
	"pk::encapsulate": leaf("pk::algorithm").holding("pk::derive", "pk::encapsulate"),
	"pk::decapsulate": leaf("pk::algorithm").holding("pk::derive", "pk::decapsulate"),

	"tls::handshake":         tlsHandshake(),
	"tls::handshake_client":  tlsHandshake(),
	"tls::handshake_server":  tlsHandshake(),
	"tls::key_exchange":      leaf("tls::group", "tls::key_exchange_algorithm").holding(keyAgreement...),
	"tls::sign":              leaf("tls::signature_algorithm").holding("pk::sign"),
	"tls::verify":            leaf("tls::signature_algorithm").holding("pk::verify"),
	"tls::verify_cert_chain": leaf().holding("pk::verify"),

	"tls::certificate_sign":   leaf("tls::signature_algorithm").holding("pk::sign"),
	"tls::certificate_verify": leaf("tls::signature_algorithm").holding("pk::verify"),

	"ssh::handshake": {
		keys:  set("ssh::role", "ssh::ident_string", "ssh::peer_ident_string"),
		holds: set("ssh::key_exchange", "ssh::client_key", "ssh::server_key"),
		root:  true,
	},
	"ssh::key_exchange": leaf("ssh::kex_algorithm", "ssh::kex_group", "ssh::key_algorithm", "ssh::c2s_cipher",
		"ssh::s2c_cipher", "ssh::c2s_mac", "ssh::s2c_mac", "ssh::c2s_compression",
		"ssh::s2c_compression").holding(keyAgreement...),
	"ssh::client_key": leaf(sshKey...).holding("pk::sign", "pk::verify"),
	"ssh::server_key": leaf(sshKey...).holding("pk::sign", "pk::verify"),
}

var (
	keyAgreement = []string{"pk::generate", "pk::derive", "pk::encapsulate", "pk::decapsulate"}
	sshKey       = []string{"ssh::key_algorithm", "ssh::cert_signature_algorithm", "ssh::rsa_bits"}
)

func tlsHandshake() *schema {
	s := leaf("tls::role", "tls::protocol_version", "tls::ciphersuite", "tls::extended_master_secret",
		"tls::ext::extended_master_secret").holding("tls::key_exchange", "tls::sign", "tls::verify",
		"tls::verify_cert_chain", "tls::certificate_sign", "tls::certificate_verify", "pk::sign", "pk::verify",
		"pk::encrypt", "pk::decrypt").holding(keyAgreement...)
	s.root = true
	return s
}

func leaf(keys ...string) *schema { return &schema{keys: set(keys...)} }

func (s *schema) holding(names ...string) *schema {
	if s.holds == nil {
		s.holds = make(map[string]bool)
	}
	for _, name := range names {
		s.holds[name] = true
	}
	return s
}

func set(members ...string) map[string]bool {
	m := make(map[string]bool, len(members))
	for _, member := range members {
		m[member] = true
	}
	return m
}
