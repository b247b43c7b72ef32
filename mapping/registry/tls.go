// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"slices"
	"strings"
)

// Group is an entry of IANA's TLS Supported Groups registry.
type Group struct {
	ID     uint16
	Name   string
	Status Status
	Curve  string // name of the elliptic curve, for tls.curve; empty for finite fields, KEMs and hybrids
	Weak   []string
}

var groups = newTable(newGroups())

func newGroups() map[uint16]Group {
	groups := make(map[uint16]Group)
	for _, row := range readTable("tls_groups.csv") {
		name := row[1]
		g := Group{ID: parseCodepoint(row[0]), Name: name, Status: parseStatus(row[2])}
		r := read(name)
		if g.Status == Classical && r.kind == ec {
			g.Curve = strings.TrimSuffix(name, "tls13") // RFC 8734 assigns new codepoints to the same curves
		}
		g.Weak = r.weakSize(nil)
		groups[g.ID] = g
	}
	return groups
}

// TLSGroup returns the group with a codepoint. A group that is not registered gets a name like "unknown (0x7777)" and
// the status [Unknown]. If id has more than 16 bits, Group.ID is 0.
func TLSGroup(id uint64) Group {
	if g := groups.find(id); g != nil {
		return *g
	}
	g := Group{Name: unknownName(id), Status: Unknown}
	if id <= 0xffff {
		g.ID = uint16(id)
	}
	return g
}

// Scheme is an entry of IANA's TLS SignatureScheme registry, or a pair of hash and signature algorithm of TLS 1.2.
type Scheme struct {
	Name   string
	Status Status
	Weak   []string
}

var schemes = newTable(newSchemes())

// schemeAdditions names TLS 1.2 codepoints of RFC 9189, 4.1, which the SignatureScheme registry lists only as "reserved
// for backward compatibility". These schemes have a fixed hash.
var schemeAdditions = map[uint16]string{
	0x0840: "gostr34102012_256",
	0x0841: "gostr34102012_512",
}

func newSchemes() map[uint16]Scheme {
	schemes := make(map[uint16]Scheme)
	add := func(id uint16, name string, status Status) {
		schemes[id] = Scheme{Name: name, Status: status, Weak: read(name).weakDigest(nil)}
	}
	for id, name := range schemeAdditions {
		add(id, name, Classical)
	}
	// TLS 1.2 combines any hash with any signature algorithm: RFC 5246, 7.4.1.4.1. The registry reserves most of these
	// codepoints; they get names in the style of RFC 8446. A row of the registry replaces the name set here.
	for i, hash := range []string{"md5", "sha1", "sha224", "sha256", "sha384", "sha512"} {
		for j, signature := range []string{"rsa_pkcs1", "dsa", "ecdsa"} {
			add(uint16((i+1)<<8|(j+1)), signature+"_"+hash, Classical)
		}
	}
	for _, row := range readTable("tls_signature_schemes.csv") {
		add(parseCodepoint(row[0]), row[1], parseStatus(row[2]))
	}
	return schemes
}

// TLSSignatureScheme returns the signature scheme with a codepoint.
func TLSSignatureScheme(id uint64) Scheme {
	if s := schemes.find(id); s != nil {
		return *s
	}
	return Scheme{Name: unknownName(id), Status: Unknown}
}

// Suite is an entry of IANA's TLS Cipher Suites registry.
type Suite struct {
	Name string
	Weak []string
}

var suites = newTable(newSuites())

// suiteAdditions names a codepoint that GnuTLS still supports, from draft-ietf-tls-56-bit-ciphersuites. The registry
// lists the codepoint only as "reserved to avoid conflicts with widely deployed implementations".
var suiteAdditions = map[uint16]string{0x0066: "TLS_DHE_DSS_WITH_RC4_128_SHA"}

func newSuites() map[uint16]Suite {
	suites := make(map[uint16]Suite)
	for id, name := range suiteAdditions {
		suites[id] = Suite{name, weakSuite(name)}
	}
	for _, row := range readTable("tls_ciphersuites.csv") {
		suites[parseCodepoint(row[0])] = Suite{row[1], weakSuite(row[1])}
	}
	return suites
}

// suiteWords maps words in the names of cipher suites to weak reasons.
var suiteWords = map[string]string{
	"NULL":   WeakNullCipher,
	"EXPORT": WeakExportCipher,
	"RC4":    WeakRC4,
	"DES":    WeakDES,
	"DES40":  WeakDES,
	"3DES":   Weak3DES,
	"IDEA":   Weak64BitBlocks,
	"RC2":    Weak64BitBlocks,
	"anon":   WeakAnonymous,
}

func weakSuite(name string) []string {
	switch name {
	case "TLS_NULL_WITH_NULL_NULL": // the state before the first handshake, without any key exchange
		return []string{WeakNullCipher, WeakAnonymous}
	case "TLS_SHA256_SHA256", "TLS_SHA384_SHA384": // integrity only: RFC 9150
		return []string{WeakNullCipher}
	}
	var weak []string
	for word := range strings.SplitSeq(name, "_") {
		if reason, ok := suiteWords[word]; ok {
			weak = append(weak, reason)
		}
	}
	return slices.Clip(weak)
}

// TLSCipherSuite returns the cipher suite with a codepoint.
func TLSCipherSuite(id uint64) Suite {
	if s := suites.find(id); s != nil {
		return *s
	}
	return Suite{Name: unknownName(id)}
}

// TLSCipherSuiteIsPSK reports whether a cipher suite of TLS 1.2 or older derives its secret from a pre-shared key
// alone, without any public key operation.
func TLSCipherSuiteIsPSK(id uint64) bool {
	s := suites.find(id)
	return s != nil && strings.HasPrefix(s.Name, "TLS_PSK_WITH_")
}

// Version is a version of SSL, TLS or DTLS.
type Version struct {
	Protocol string // "tls", "ssl" or "dtls"; "" if the version is unknown
	Name     string // such as "1.3"
	Weak     []string
}

var below12 = []string{WeakTLSBelow12}

var versions = newTable(map[uint16]Version{
	0x0002: {"ssl", "2", below12},
	0x0300: {"ssl", "3", below12},
	0x0301: {"tls", "1.0", below12},
	0x0302: {"tls", "1.1", below12},
	0x0303: {"tls", "1.2", nil},
	0x0304: {"tls", "1.3", nil},
	0x0100: {"dtls", "0.9", below12}, // from before RFC 4347; used by Cisco AnyConnect
	0xfeff: {"dtls", "1.0", below12}, // based on TLS 1.1
	0xfefd: {"dtls", "1.2", nil},
	0xfefc: {"dtls", "1.3", nil},
})

// TLSVersion returns the protocol version with a codepoint. For an unknown version, Protocol is "".
func TLSVersion(id uint64) Version {
	if v := versions.find(id); v != nil {
		return *v
	}
	return Version{Name: unknownName(id)}
}

type keyExchangeAlgorithm struct {
	name   string
	status Status
}

var keyExchangeAlgorithms = newTable(map[uint16]keyExchangeAlgorithm{
	0: {"ECDHE", Classical},
	1: {"DHE", Classical},
	2: {"PSK", NotApplicable},
	3: {"ECDHE-PSK", Classical},
	4: {"DHE-PSK", Classical},
})

// TLSKeyExchangeAlgorithm returns the name and the status for a value of the old key tls::key_exchange_algorithm. The
// status of PSK is [NotApplicable], because a pre-shared key alone needs no public key operation.
func TLSKeyExchangeAlgorithm(id uint64) (name string, status Status) {
	if k := keyExchangeAlgorithms.find(id); k != nil {
		return k.name, k.status
	}
	return unknownName(id), Unknown
}
