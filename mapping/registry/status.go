// SPDX-License-Identifier: Apache-2.0

package registry

// Status says how an algorithm stands against a quantum computer.
type Status uint8

const (
	// NotApplicable is the status where no public key cryptography is involved, or none was observed.
	NotApplicable Status = iota
	// PostQuantum is designed to withstand a quantum computer.
	PostQuantum
	// Hybrid has a post-quantum and a classical part and holds as long as either does.
	Hybrid
	// Classical rests on factoring or discrete logarithms alone.
	Classical
	// Unknown is what no table here knows.
	Unknown
)

var statusNames = [...]string{
	NotApplicable: "",
	PostQuantum:   "post_quantum",
	Hybrid:        "hybrid",
	Classical:     "classical",
	Unknown:       "unknown",
}

// String returns the status as spans carry it: "post_quantum", "hybrid", "classical", "unknown", or nothing.
func (s Status) String() string {
	if int(s) < len(statusNames) {
		return statusNames[s]
	}
	return statusNames[Unknown]
}
