// SPDX-License-Identifier: Apache-2.0

package registry

// Status describes how an algorithm withstands a quantum computer.
type Status uint8

const (
	// NotApplicable means that no public key cryptography is used, or that none was observed.
	NotApplicable Status = iota
	// PostQuantum means that the algorithm is designed to withstand a quantum computer.
	PostQuantum
	// Hybrid means that a post-quantum and a classical algorithm are combined. The combination is secure as long as
	// either algorithm is.
	Hybrid
	// Classical means that security rests on factoring or discrete logarithms alone.
	Classical
	// Unknown means that the algorithm is neither in a table nor in the vocabulary.
	Unknown
)

var statusNames = [...]string{
	NotApplicable: "",
	PostQuantum:   "post_quantum",
	Hybrid:        "hybrid",
	Classical:     "classical",
	Unknown:       "unknown",
}

// String returns the status as attributes spell it: "post_quantum", "hybrid", "classical", "unknown" or "".
func (s Status) String() string {
	if int(s) < len(statusNames) {
		return statusNames[s]
	}
	return statusNames[Unknown]
}
