// SPDX-License-Identifier: Apache-2.0

package schema

import (
	"strings"
	"sync"
)

// KeyName is the event key under which a context's name arrives.
const KeyName = "name"

// KeyID identifies the keys whose values the code reads. All others are KeyOther.
type KeyID uint8

// The keys that the code interprets.
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

// Key is an event key. It does not change once it is in use.
type Key struct {
	Emitted   string // tls::group
	Attribute string // tls.group
	ID        KeyID
	Interned  bool // one copy is shared by all contexts
	Reserved  bool // Attribute is the result of [ReservedAttribute]
	owners    Set  // the contexts that list the key
}

// NewKey returns the key that programs emit with a name, which must be valid UTF-8.
func NewKey(emitted string) Key {
	k := Key{
		Emitted:   emitted,
		Attribute: strings.ReplaceAll(emitted, "::", "."),
		ID:        keyIDs[emitted],
		owners:    keyOwners[emitted],
	}
	if k.owners == 0 {
		k.ID = KeyOther // or package wire's
		if isReserved(emitted, k.Attribute) {
			k.Attribute, k.Reserved = ReservedAttribute(emitted), true
		}
	}
	return k
}

// NewWireKey returns the key that package wire emits with a name, if only package wire does: no context lists it, so that
// it means nothing if a program emits it.
func NewWireKey(emitted string) (k Key, ok bool) {
	id := keyIDs[emitted]
	if id == KeyOther || keyOwners[emitted] != 0 {
		return Key{}, false
	}
	return Key{Emitted: emitted, Attribute: strings.ReplaceAll(emitted, "::", "."), ID: id}, true
}

// ReservedAttribute returns the attribute for a key whose own name must not become an attribute. It contains the
// emitted name unchanged, so that different keys have different attributes.
func ReservedAttribute(emitted string) string {
	return strings.TrimSuffix(string(AttrEmitted), "*") + emitted
}

// ForeignAttribute returns the attribute for a key that was added by a file other than the context's opener.
func ForeignAttribute(emitted string) string {
	return strings.TrimSuffix(string(AttrForeign), "*") + emitted
}

// isReserved reports whether a key that no context lists could be mistaken for an attribute of crau-otel, or for the
// attribute of another key: "pk.x" and "pk::x" would become the same.
func isReserved(emitted, attribute string) bool {
	if emitted == "" || strings.Contains(emitted, ".") {
		return true
	}
	scope, _, _ := strings.Cut(attribute, ".")
	r := reserved()
	return r.namespaces[scope] || r.attributes[attribute]
}

// reserved contains the attributes that crau-otel defines, and the namespaces that only crau-otel, and no library,
// uses.
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

// Interpreted reports whether the key's value becomes something other than its own attribute: a name beside a
// codepoint, a boolean, a role. That applies only where a context lists the key.
func (k *Key) Interpreted() bool {
	switch k.ID {
	case KeyTLSRole, KeyTLSProtocolVersion, KeyTLSCipherSuite, KeyTLSExtendedMasterSecret, KeyTLSGroup,
		KeyTLSSignatureAlgorithm, KeyTLSKeyExchangeAlgorithm, KeyPKStatic:
		return true
	}
	return false
}

// Same reports whether two keys are the same: a key that is not interned exists more than once, and one key has two
// names.
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
