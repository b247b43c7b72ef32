// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"strings"
	"sync"
)

// KeyName is the event key whose value is the name of the context.
const KeyName = "name"

// KeyID identifies a key whose value the code reads. All other keys have the KeyID KeyOther.
type KeyID uint8

// The keys whose values the code reads.
const (
	KeyOther KeyID = iota
	KeyTLSRole
	KeyTLSProtocolVersion
	KeyTLSCipherSuite
	KeyTLSExtendedMasterSecret
	KeyTLSGroup
	KeyTLSSignatureAlgorithm
	KeyTLSKeyExchangeAlgorithm
	KeyTLSOfferedGroups
	KeyTLSOfferedShares
	KeyTLSNegotiated
	KeyTLSPrimeBits
	KeyTLSResumed
	KeyTLSRetried
	KeyTLSECHOffered
	KeyTLSAlert
	KeyTLSAlertSide
	KeyTLSUnanswered
	KeyPKAlgorithm
	KeyPKCurve
	KeyPKGroup
	KeyPKBits
	KeyPKHash
	KeyPKStatic
	KeySSHRole
	KeySSHKexAlgorithm
	KeySSHKexGroup
	KeySSHKeyAlgorithm
	KeySSHCertSignature
	KeySSHRSABits
	KeySSHCipherC2S
	KeySSHCipherS2C
	KeySSHMACC2S
	KeySSHMACS2C
)

var keyIDs = map[string]KeyID{
	"tls::role":                        KeyTLSRole,
	"tls::protocol_version":            KeyTLSProtocolVersion,
	"tls::ciphersuite":                 KeyTLSCipherSuite,
	"tls::extended_master_secret":      KeyTLSExtendedMasterSecret,
	"tls::ext::extended_master_secret": KeyTLSExtendedMasterSecret,
	"tls::group":                       KeyTLSGroup,
	"tls::signature_algorithm":         KeyTLSSignatureAlgorithm,
	"tls::key_exchange_algorithm":      KeyTLSKeyExchangeAlgorithm,
	"tls::offered_groups":              KeyTLSOfferedGroups,
	"tls::offered_shares":              KeyTLSOfferedShares,
	"tls::negotiated":                  KeyTLSNegotiated,
	"tls::prime_bits":                  KeyTLSPrimeBits,
	"tls::resumed":                     KeyTLSResumed,
	"tls::retried":                     KeyTLSRetried,
	"tls::ech_offered":                 KeyTLSECHOffered,
	"tls::alert":                       KeyTLSAlert,
	"tls::alert_side":                  KeyTLSAlertSide,
	"tls::unanswered":                  KeyTLSUnanswered,
	"pk::algorithm":                    KeyPKAlgorithm,
	"pk::curve":                        KeyPKCurve,
	"pk::group":                        KeyPKGroup,
	"pk::bits":                         KeyPKBits,
	"pk::hash":                         KeyPKHash,
	"pk::static":                       KeyPKStatic,
	"ssh::role":                        KeySSHRole,
	"ssh::kex_algorithm":               KeySSHKexAlgorithm,
	"ssh::kex_group":                   KeySSHKexGroup,
	"ssh::key_algorithm":               KeySSHKeyAlgorithm,
	"ssh::cert_signature_algorithm":    KeySSHCertSignature,
	"ssh::rsa_bits":                    KeySSHRSABits,
	"ssh::c2s_cipher":                  KeySSHCipherC2S,
	"ssh::s2c_cipher":                  KeySSHCipherS2C,
	"ssh::c2s_mac":                     KeySSHMACC2S,
	"ssh::s2c_mac":                     KeySSHMACS2C,
}

// Key is an event key. It must not be modified once it is in use.
type Key struct {
	Emitted   string // name as the library emits it, such as tls::group
	Attribute string // key of the attribute, such as tls.group
	ID        KeyID
	Interned  bool // all contexts share this copy of the key
	Reserved  bool // Attribute is the result of [ReservedAttribute]
	owners    Set  // registered contexts whose Keys contain this key; empty if none do
}

// NewKey returns the key for a name that a program emits. The name must be valid UTF-8.
func NewKey(emitted string) Key {
	k := Key{
		Emitted:   emitted,
		Attribute: strings.ReplaceAll(emitted, "::", "."),
		ID:        keyIDs[emitted],
		owners:    keyOwners[emitted],
	}
	if k.owners == 0 {
		k.ID = KeyOther // keyIDs also contains keys that have a meaning only if package wire emits them
		if isReserved(emitted, k.Attribute) {
			k.Attribute, k.Reserved = ReservedAttribute(emitted), true
		}
	}
	return k
}

// NewWireKey returns the key for a name that has a meaning only if package wire emits it. ok is false for all other
// names. No context lists such a key, so it is not interpreted if a program emits it.
func NewWireKey(emitted string) (k Key, ok bool) {
	id := keyIDs[emitted]
	if id == KeyOther || keyOwners[emitted] != 0 {
		return Key{}, false
	}
	return Key{Emitted: emitted, Attribute: strings.ReplaceAll(emitted, "::", "."), ID: id}, true
}

// ReservedAttribute returns the attribute for a key that must not become the attribute of its own name:
// "crypto.emitted." and the emitted name. The name is unchanged, so that different keys have different attributes.
func ReservedAttribute(emitted string) string {
	return strings.TrimSuffix(string(AttrEmitted), "*") + emitted
}

// ForeignAttribute returns the attribute for a key that was added to a context by a file other than the one that opened
// the context: "crypto.foreign." and the emitted name.
func ForeignAttribute(emitted string) string {
	return strings.TrimSuffix(string(AttrForeign), "*") + emitted
}

// isReserved reports whether a key that no context lists could be mistaken for an attribute of crau-otel or for another
// key: the keys "pk.x" and "pk::x" would become the same attribute.
func isReserved(emitted, attribute string) bool {
	if emitted == "" || strings.Contains(emitted, ".") {
		return true
	}
	scope, _, _ := strings.Cut(attribute, ".")
	r := reserved()
	return r.namespaces[scope] || r.attributes[attribute]
}

// reserved returns the attributes that crau-otel defines, and the namespaces of attributes that crau-otel uses and
// libraries do not.
var reserved = sync.OnceValue(func() (r struct{ attributes, namespaces map[string]bool }) {
	libraries := make(map[string]bool) // scopes of the libraries' keys
	for key := range keyOwners {
		scope, _, _ := strings.Cut(key, "::")
		libraries[scope] = true
	}
	r.attributes, r.namespaces = make(map[string]bool), map[string]bool{"otel": true}
	for _, a := range documented {
		scope, _, _ := strings.Cut(string(a.Key), ".")
		r.attributes[string(a.Key)] = true
		if !libraries[scope] {
			r.namespaces[scope] = true
		}
	}
	return r
})

// Interpreted reports whether the key becomes something other than one attribute with the value as reported, such as a
// codepoint and its name, a boolean, or a role. This applies only in contexts that interpret the key: see
// [Context.Interprets].
func (k *Key) Interpreted() bool {
	switch k.ID {
	case KeyTLSRole, KeyTLSProtocolVersion, KeyTLSCipherSuite, KeyTLSExtendedMasterSecret, KeyTLSGroup,
		KeyTLSSignatureAlgorithm, KeyTLSKeyExchangeAlgorithm, KeyPKStatic:
		return true
	}
	return false
}

// Same reports whether two keys are the same although their pointers may differ: a key that is not interned has several
// copies, and the extended master secret has two names.
func (k *Key) Same(other *Key) bool {
	return k == other || k.ID == KeyTLSExtendedMasterSecret && other.ID == k.ID ||
		!k.Interned && k.Emitted == other.Emitted && k.ID == other.ID
}

// keyOwners maps each key to the contexts that list it.
var keyOwners = indexKeys()

func indexKeys() map[string]Set {
	m := make(map[string]Set)
	for i := range registered {
		for _, key := range registered[i].Keys {
			m[key] |= byName[registered[i].Name].self
		}
	}
	return m
}
