// SPDX-License-Identifier: Apache-2.0

package mapping

import "go.opentelemetry.io/otel/trace"

// class is what the rules for a context's meaning go by.
type class uint8

const (
	classOther class = iota
	classTLSHandshake
	classTLSKeyExchange
	classTLSSignature // tls::sign and tls::verify
	classSSHHandshake
	classSSHKeyExchange
	classSSHKey
	classGenerate  // pk::generate
	classAgreement // pk::derive, encapsulate, decapsulate: makes a shared secret
	classTransport // pk::encrypt, decrypt
	classSignature // pk::sign, pk::verify
)

// schema says what a context of one name means and may hold.
type schema struct {
	name  string // the registry's
	class class
	role  string          // that the emitted name tells: client or server
	keys  map[string]bool // keys that belong to the context itself
	holds map[string]bool // names of contexts that may open below it
	own   schemaSet       // itself
	below schemaSet       // what it holds
}

// schemaSet is a set of registered contexts.
type schemaSet uint32

// holdsA reports whether a context of the registered kind may open below one of s; neither needs to be registered.
func (s *schema) holdsA(kind *schema) bool {
	return s != nil && kind != nil && s.below&kind.own != 0
}

// handshake reports whether the context starts a tree unless it was linked to a parent.
func (s *schema) handshake() bool {
	return s != nil && (s.class == classTLSHandshake || s.class == classSSHHandshake)
}

// schemas has the registered context names, the old ones included. GnuTLS puts pk contexts directly below a TLS 1.2
// handshake, so a handshake holds them too; an inner context that also does comes first.
var schemas = makeSchemas()

func makeSchemas() map[string]*schema {
	agreement := []string{"pk::generate", "pk::derive", "pk::encapsulate", "pk::decapsulate"}
	signature := []string{"pk::algorithm", "pk::curve", "pk::bits", "pk::hash", "pk::rsa_padding"}
	transport := []string{"pk::algorithm", "pk::bits", "pk::hash", "pk::rsa_padding"}
	sshKey := []string{"ssh::key_algorithm", "ssh::cert_signature_algorithm", "ssh::rsa_bits"}
	scheme := []string{"tls::signature_algorithm"}
	all := []*schema{
		{name: "pk::sign", class: classSignature, keys: set(signature)},
		{name: "pk::verify", class: classSignature, keys: set(signature)},
		{name: "pk::encrypt", class: classTransport, keys: set(transport)},
		{name: "pk::decrypt", class: classTransport, keys: set(transport)},
		{name: "pk::generate", class: classGenerate, keys: set([]string{
			"pk::algorithm", "pk::curve", "pk::group", "pk::bits",
		})},
		{name: "pk::derive", class: classAgreement, keys: set([]string{
			"pk::algorithm", "pk::curve", "pk::group", "pk::bits", "pk::static",
		})},
		{
			name: "pk::encapsulate", class: classAgreement, keys: set([]string{"pk::algorithm"}),
			holds: set([]string{"pk::derive", "pk::encapsulate"}),
		},
		{
			name: "pk::decapsulate", class: classAgreement, keys: set([]string{"pk::algorithm"}),
			holds: set([]string{"pk::derive", "pk::decapsulate"}),
		},
		{
			name: "tls::handshake", class: classTLSHandshake,
			keys: set([]string{
				"tls::role", "tls::protocol_version", "tls::ciphersuite", "tls::extended_master_secret",
				"tls::ext::extended_master_secret",
			}),
			holds: set(append([]string{
				"tls::key_exchange", "tls::sign", "tls::verify", "tls::verify_cert_chain", "tls::certificate_sign",
				"tls::certificate_verify", "pk::sign", "pk::verify", "pk::encrypt", "pk::decrypt",
			}, agreement...)),
		},
		{
			name: "tls::key_exchange", class: classTLSKeyExchange, holds: set(agreement),
			keys: set([]string{"tls::group", "tls::key_exchange_algorithm"}),
		},
		{name: "tls::sign", class: classTLSSignature, keys: set(scheme), holds: set([]string{"pk::sign"})},
		{name: "tls::verify", class: classTLSSignature, keys: set(scheme), holds: set([]string{"pk::verify"})},
		{name: "tls::verify_cert_chain", holds: set([]string{"pk::verify"})},
		{
			name: "ssh::handshake", class: classSSHHandshake,
			keys:  set([]string{"ssh::role", "ssh::ident_string", "ssh::peer_ident_string"}),
			holds: set([]string{"ssh::key_exchange", "ssh::client_key", "ssh::server_key"}),
		},
		{
			name: "ssh::key_exchange", class: classSSHKeyExchange, holds: set(agreement),
			keys: set([]string{
				"ssh::kex_algorithm", "ssh::kex_group", "ssh::key_algorithm", "ssh::c2s_cipher", "ssh::s2c_cipher",
				"ssh::c2s_mac", "ssh::s2c_mac", "ssh::c2s_compression", "ssh::s2c_compression",
			}),
		},
		{
			name: "ssh::client_key", class: classSSHKey, keys: set(sshKey),
			holds: set([]string{"pk::sign", "pk::verify"}),
		},
		{
			name: "ssh::server_key", class: classSSHKey, keys: set(sshKey),
			holds: set([]string{"pk::sign", "pk::verify"}),
		},
	}
	byName := make(map[string]*schema)
	for i, s := range all {
		s.own = 1 << i
		byName[s.name] = s
	}
	old := func(name, registered, role string) {
		s := *byName[registered]
		s.role = role
		byName[name] = &s
	}
	old("tls::handshake_client", "tls::handshake", "client")
	old("tls::handshake_server", "tls::handshake", "server")
	old("tls::certificate_sign", "tls::sign", "")
	old("tls::certificate_verify", "tls::verify", "")
	for _, s := range byName {
		for name := range s.holds {
			s.below |= byName[name].own
		}
	}
	return byName
}

// owners has, by key, the contexts that the key belongs to.
var owners = makeOwners()

func makeOwners() map[string]schemaSet {
	m := make(map[string]schemaSet)
	for _, s := range schemas {
		for key := range s.keys {
			m[key] |= s.own
		}
	}
	return m
}

func set(members []string) map[string]bool {
	m := make(map[string]bool, len(members))
	for _, member := range members {
		m[member] = true
	}
	return m
}

// role returns which side the program was in a handshake, "" if that was not told.
func (n *node) role() string {
	if d := n.get(keyTLSRole); d != nil {
		return d.text
	}
	if d := n.get(keySSHRole); d != nil {
		return d.text
	}
	if n.schema != nil {
		return n.schema.role
	}
	return ""
}

// kind returns the span kind: that of the role in a handshake.
func (n *node) kind() trace.SpanKind {
	if n.schema.handshake() {
		switch n.role() {
		case "client":
			return trace.SpanKindClient
		case "server":
			return trace.SpanKindServer
		}
	}
	return trace.SpanKindInternal
}

func (n *node) class() class {
	if n.schema == nil {
		return classOther
	}
	return n.schema.class
}
