// SPDX-License-Identifier: Apache-2.0

// Package registry gives codepoints and spellings their names, their post-quantum status and the reasons why they are
// weak. TLS codepoints are looked up in IANA's tables (folder data); spellings of algorithms are cut into words, and
// a vocabulary of known families decides. What neither knows is [Unknown], never safe.
//
// Lookups of known codepoints allocate nothing. The slices of reasons are shared: read only.
package registry
