// SPDX-License-Identifier: Apache-2.0

// Package registry knows the code points and spellings of cryptographic algorithms: their names, their post-quantum
// [Status], and the reasons why they are weak.
//
// TLS code points are looked up in IANA's tables, which are in folder data:
//
//	g := registry.TLSGroup(0x11ec)  // X25519MLKEM768, Hybrid
//
// Algorithms that libraries report as text come in many spellings. These are cut into words, and a vocabulary of known
// families decides (words.go):
//
//	registry.PublicKey("pk::sign", "EC/ECDSA (SECP256R1)", "", "", "SHA1", 0)  // Classical, [sha1_signature]
//
// What neither knows is [Unknown], never safe. To add an algorithm, add a row to a table in data or a word to the
// vocabulary; the tests compare both with the registries.
//
// Lookups of known code points do not allocate. The slices of reasons are shared and must not be changed.
package registry
