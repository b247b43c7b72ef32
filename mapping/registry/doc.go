// SPDX-License-Identifier: Apache-2.0

// Package registry looks up cryptographic algorithms by codepoint or spelling: their names, their post-quantum
// [Status], and the reasons why they are weak.
//
// TLS codepoints are looked up in IANA's tables, which are in the folder data:
//
//	g := registry.TLSGroup(0x11ec)  // X25519MLKEM768, Hybrid
//
// Algorithms that libraries report as text have many spellings. These are split into words, which are looked up in a
// vocabulary of known families (words.go):
//
//	registry.PublicKey("pk::sign", "EC/ECDSA (SECP256R1)", "", "", "SHA1", 0)  // Classical, [sha1_signature]
//
// An algorithm that is neither in a table nor in the vocabulary is [Unknown], never safe. To add an algorithm, add a
// row to a table in data or a word to the vocabulary. The tests compare the tables and the vocabulary with other
// sources.
//
// Lookups of registered codepoints do not allocate. The returned slices of weak reasons are shared and must not be
// modified.
package registry
