// SPDX-License-Identifier: Apache-2.0

// Package registry knows the codepoints and spellings of cryptographic algorithms: their names, their post-quantum
// [Status], and the reasons why they are weak.
//
// TLS codepoints are looked up in IANA's tables, which are in folder data:
//
//	g := registry.TLSGroup(0x11ec)  // X25519MLKEM768, Hybrid
//
// Algorithms that libraries report as text have many spellings. These are split into words, which are looked up in a
// vocabulary of known families (words.go):
//
//	registry.PublicKey("pk::sign", "EC/ECDSA (SECP256R1)", "", "", "SHA1", 0)  // Classical, [sha1_signature]
//
// An algorithm that neither knows is [Unknown], never safe. To add an algorithm, add a row to a table in data or a word
// to the vocabulary; the tests compare both with the registries.
//
// Lookups of known codepoints do not allocate. The slices of reasons are shared and must not be changed.
package registry
