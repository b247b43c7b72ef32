// SPDX-License-Identifier: Apache-2.0

package hello

import "golang.org/x/crypto/cryptobyte"

// ClientHello is what a client offers. Lists are in the client's order, without GREASE (RFC 8701).
type ClientHello struct {
	Versions  []uint16 // in order of preference, from the extension supported_versions; without it, the legacy version
	Suites    []uint16 // IANA's TLS Cipher Suites registry
	Groups    []uint16 // IANA's TLS Supported Groups registry
	Shares    []uint16 // groups for which the client sent a key share
	Schemes   []uint16 // IANA's TLS SignatureScheme registry
	PSKs      []PSK    // pre-shared keys that the client offers to use (TLS 1.3)
	Ticket    bool     // the client offers to resume a session with a ticket (TLS 1.2)
	EarlyData bool     // the client sends data directly after the hello
	ECH       bool     // Encrypted ClientHello, or GREASE for it, was sent; the fields are from the outer hello

	sessionID []byte
}

// PSK is an offer to use a pre-shared key: RFC 8446, 4.2.11.
type PSK struct {
	// Session is whether the key is from an earlier session. It is inferred from the key's obfuscated age: clients send 0
	// for an external key, and the sum of its age and a random number for the key of a session.
	Session bool
}

// Extensions (IANA's TLS ExtensionType Values registry).
const (
	extSupportedGroups      = 10
	extSignatureAlgorithms  = 13
	extExtendedMasterSecret = 23
	extSessionTicket        = 35
	extPreSharedKey         = 41
	extEarlyData            = 42
	extSupportedVersions    = 43
	extKeyShare             = 51
	extEncryptedClientHello = 0xfe0d
)

// Signalling values that are in the list of cipher suites although they are not cipher suites: RFC 5746, RFC 7507.
const (
	suiteRenegotiationInfo = 0x00ff
	suiteFallback          = 0x5600
)

// parseClientHello returns nil if the message is malformed.
func parseClientHello(body []byte) *ClientHello {
	s := cryptobyte.String(body)
	var legacy uint16
	var session, suites, compression cryptobyte.String
	if !s.ReadUint16(&legacy) || !s.Skip(32) || !s.ReadUint8LengthPrefixed(&session) || len(session) > 32 ||
		!s.ReadUint16LengthPrefixed(&suites) || !s.ReadUint8LengthPrefixed(&compression) || len(compression) == 0 {
		return nil
	}
	h := &ClientHello{sessionID: append([]byte(nil), session...)}
	var ok bool
	if h.Suites, ok = codepoints(suites); !ok {
		return nil
	}
	h.Suites = without(h.Suites, suiteRenegotiationInfo, suiteFallback)
	if !eachExtension(s, h.extension) {
		return nil
	}
	if h.Versions == nil {
		h.Versions = []uint16{legacy}
	}
	return h
}

// extension reads one extension and reports whether it is well-formed.
func (h *ClientHello) extension(typ uint16, data cryptobyte.String) (ok bool) {
	var list cryptobyte.String
	switch typ {
	case extSupportedGroups:
		if !data.ReadUint16LengthPrefixed(&list) {
			return false
		}
		h.Groups, ok = codepoints(list)
		return ok
	case extSignatureAlgorithms:
		if !data.ReadUint16LengthPrefixed(&list) {
			return false
		}
		h.Schemes, ok = codepoints(list)
		return ok
	case extSupportedVersions:
		if !data.ReadUint8LengthPrefixed(&list) {
			return false
		}
		h.Versions, ok = codepoints(list)
		return ok
	case extKeyShare:
		if !data.ReadUint16LengthPrefixed(&list) {
			return false
		}
		for !list.Empty() {
			var group uint16
			var share cryptobyte.String
			if !list.ReadUint16(&group) || !list.ReadUint16LengthPrefixed(&share) {
				return false
			}
			if !grease(group) {
				h.Shares = append(h.Shares, group)
			}
		}
	case extSessionTicket:
		h.Ticket = !data.Empty()
	case extPreSharedKey:
		if data.ReadUint16LengthPrefixed(&list) {
			h.PSKs = psks(list)
		}
	case extEarlyData:
		h.EarlyData = true
	case extEncryptedClientHello:
		h.ECH = true
	}
	return true
}
