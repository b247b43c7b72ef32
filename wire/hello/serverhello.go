// SPDX-License-Identifier: Apache-2.0

package hello

import (
	"math/bits"

	"golang.org/x/crypto/cryptobyte"
)

// ServerHello is what a server chooses, or a HelloRetryRequest.
type ServerHello struct {
	Retry                bool   // the message is a HelloRetryRequest
	Version              uint16 // negotiated version
	Suite                uint16
	Group                uint16 // TLS 1.3: group of the key exchange, or the one that a HelloRetryRequest requests
	HasGroup             bool   // Group is set; false if only a pre-shared key is used
	PSK                  bool   // TLS 1.3: a pre-shared key is used
	SelectedPSK          uint16 // TLS 1.3: index of this key among the client's PSKs, from 0
	ExtendedMasterSecret bool   // TLS 1.2: RFC 7627
}

// retryRandom is the random value of a HelloRetryRequest: RFC 8446, 4.1.3.
const retryRandom = "\xcf\x21\xad\x74\xe5\x9a\x61\x11\xbe\x1d\x8c\x02\x1e\x65\xb8\x91" +
	"\xc2\xa2\x11\x16\x7a\xbb\x8c\x5e\x07\x9e\x09\xe2\xc8\xa8\x33\x9c"

// parseServerHello returns nil if the message is malformed.
func parseServerHello(body []byte) *ServerHello {
	s := cryptobyte.String(body)
	h := &ServerHello{}
	var random []byte
	var session cryptobyte.String
	if !s.ReadUint16(&h.Version) || !s.ReadBytes(&random, 32) || !s.ReadUint8LengthPrefixed(&session) || len(session) > 32 ||
		!s.ReadUint16(&h.Suite) || !s.Skip(1) {
		return nil
	}
	if h.Version>>8 != 3 {
		return nil
	}
	h.Retry = string(random) == retryRandom
	if !eachExtension(s, h.extension) {
		return nil
	}
	return h
}

// extension reads one extension and reports whether it is well-formed.
func (h *ServerHello) extension(typ uint16, data cryptobyte.String) bool {
	switch typ {
	case extSupportedVersions:
		return data.ReadUint16(&h.Version)
	case extKeyShare:
		h.HasGroup = true
		return data.ReadUint16(&h.Group)
	case extPreSharedKey:
		h.PSK = true
		return data.ReadUint16(&h.SelectedPSK)
	case extExtendedMasterSecret:
		h.ExtendedMasterSecret = true
	}
	return true
}

// ServerKeyExchange describes the key exchange of TLS 1.2 and older, except for RSA.
type ServerKeyExchange struct {
	Group     uint16 // elliptic curve: value of IANA's TLS Supported Groups registry; 0 with a finite field
	PrimeBits int    // finite field: size of the prime in bits; 0 with an elliptic curve
	Scheme    uint16 // scheme of the server's signature, TLS 1.2 only; 0 if the server does not sign
}

const curveNamed = 3 // RFC 8422, 5.4

// parseServerKeyExchange parses a key exchange with an elliptic curve or a finite field. The message does not say which
// of the two it contains, so it is parsed as the one whose fields fill it exactly. parseServerKeyExchange returns nil
// if neither fits, as for a key exchange with a pre-shared key.
func parseServerKeyExchange(body []byte, hello *ServerHello) *ServerKeyExchange {
	if hello == nil {
		return nil
	}
	s := cryptobyte.String(body)
	var curve uint8
	var group uint16
	var point cryptobyte.String
	if s.ReadUint8(&curve) && curve == curveNamed && s.ReadUint16(&group) && s.ReadUint8LengthPrefixed(&point) && len(point) > 0 {
		if scheme, ok := signature(s, hello.Version); ok {
			return &ServerKeyExchange{Group: group, Scheme: scheme}
		}
	}
	s = body
	var prime, generator, public cryptobyte.String
	if s.ReadUint16LengthPrefixed(&prime) && s.ReadUint16LengthPrefixed(&generator) && s.ReadUint16LengthPrefixed(&public) &&
		len(prime) >= 32 && len(generator) > 0 && len(public) > 0 {
		if scheme, ok := signature(s, hello.Version); ok {
			return &ServerKeyExchange{PrimeBits: bitLength(prime), Scheme: scheme}
		}
	}
	return nil
}

// signature parses the server's signature, which may be missing. ok reports whether the message ends with the
// signature.
func signature(s cryptobyte.String, version uint16) (scheme uint16, ok bool) {
	if s.Empty() {
		return 0, true
	}
	if version == 0x0303 && !s.ReadUint16(&scheme) {
		return 0, false
	}
	var sig cryptobyte.String
	return scheme, s.ReadUint16LengthPrefixed(&sig) && s.Empty()
}

func bitLength(number []byte) int {
	for i, b := range number {
		if b != 0 {
			return 8*(len(number)-i-1) + bits.Len8(b)
		}
	}
	return 0
}
