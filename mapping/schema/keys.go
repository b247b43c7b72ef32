// SPDX-License-Identifier: Apache-2.0

package schema

import "strings"

// KeyName is the event key under which a context's name arrives.
const KeyName = "name"

// KeyID identifies the keys whose values the code reads. All others are KeyOther.
type KeyID uint8

// The keys with a meaning of their own.
const (
	KeyOther KeyID = iota
	KeyTLSRole
	KeyTLSProtocolVersion
	KeyTLSCipherSuite
	KeyTLSExtendedMasterSecret
	KeyTLSGroup
	KeyTLSSignatureAlgorithm
	KeyTLSKeyExchangeAlgorithm
	KeyPKAlgorithm
	KeyPKCurve
	KeyPKGroup
	KeyPKBits
	KeyPKHash
	KeyPKStatic
	KeySSHRole
	KeySSHKexAlgorithm
	KeySSHKeyAlgorithm
	KeySSHRSABits
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
	"pk::algorithm":                    KeyPKAlgorithm,
	"pk::curve":                        KeyPKCurve,
	"pk::group":                        KeyPKGroup,
	"pk::bits":                         KeyPKBits,
	"pk::hash":                         KeyPKHash,
	"pk::static":                       KeyPKStatic,
	"ssh::role":                        KeySSHRole,
	"ssh::kex_algorithm":               KeySSHKexAlgorithm,
	"ssh::key_algorithm":               KeySSHKeyAlgorithm,
	"ssh::rsa_bits":                    KeySSHRSABits,
}

// Key is an event key. It does not change once it is in use.
type Key struct {
	Emitted   string // tls::group
	Attribute string // tls.group
	ID        KeyID
	Interned  bool // one copy serves all contexts
	owners    Set  // the contexts that list the key
}

// NewKey returns the key with an emitted name, which must be valid UTF-8.
func NewKey(emitted string) Key {
	return Key{
		Emitted:   emitted,
		Attribute: strings.ReplaceAll(emitted, "::", "."),
		ID:        keyIDs[emitted],
		owners:    keyOwners[emitted],
	}
}

// keyOwners has, by key, the contexts that list it.
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
