// SPDX-License-Identifier: Apache-2.0

package hello

import "golang.org/x/crypto/cryptobyte"

// eachExtension calls read for each extension in the list that ends a hello. The list may be missing.
func eachExtension(s cryptobyte.String, read func(typ uint16, data cryptobyte.String) bool) bool {
	if s.Empty() {
		return true
	}
	var list cryptobyte.String
	if !s.ReadUint16LengthPrefixed(&list) || !s.Empty() {
		return false
	}
	for !list.Empty() {
		var typ uint16
		var data cryptobyte.String
		if !list.ReadUint16(&typ) || !list.ReadUint16LengthPrefixed(&data) || !read(typ, data) {
			return false
		}
	}
	return true
}

// psks parses the identities of the pre-shared keys that a client offers. It ignores a malformed identity and
// everything after it.
func psks(list cryptobyte.String) (offered []PSK) {
	for !list.Empty() {
		var identity cryptobyte.String
		var age uint32
		if !list.ReadUint16LengthPrefixed(&identity) || !list.ReadUint32(&age) {
			break
		}
		offered = append(offered, PSK{Session: age != 0})
	}
	return offered
}

func without(ids []uint16, leave ...uint16) []uint16 {
	filtered := ids[:0]
	for _, id := range ids {
		if id != leave[0] && id != leave[1] {
			filtered = append(filtered, id)
		}
	}
	return filtered
}

// codepoints parses a list of 16-bit numbers, and omits GREASE values.
func codepoints(s cryptobyte.String) ([]uint16, bool) {
	var ids []uint16
	for !s.Empty() {
		var id uint16
		if !s.ReadUint16(&id) {
			return nil, false
		}
		if !grease(id) {
			ids = append(ids, id)
		}
	}
	return ids, true
}

// grease reports whether a codepoint is one of the meaningless values of GREASE (RFC 8701).
func grease(id uint16) bool { return id&0x0f0f == 0x0a0a && id>>8 == id&0xff }
