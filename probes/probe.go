// SPDX-License-Identifier: Apache-2.0

package probes

import "fmt"

// providers are the USDT providers whose notes this package reads. Their probes have the same names and arguments.
var providers = [...]struct {
	name string
	// others is set if the provider also has probes that this package does not know. Such probes are then ignored instead
	// of being reported as problems.
	others bool
}{
	{name: "crypto_auditing"},
	// OpenSSL's pull request 32538 names the provider after the library.
	{name: "openssl", others: true},
}

// isOurs reports whether this package reads a note with that provider and probe. It also reads unknown probes of
// crypto_auditing, to report them as problems.
func isOurs(provider, probe string) bool {
	for _, p := range providers {
		if p.name == provider {
			_, known := usdtProbe(probe)
			return known || !p.others
		}
	}
	return false
}

// Probe identifies a USDT probe or an entry point. The values are those of enum crau_kind in bpf/audit.h.
type Probe uint8

// The USDT probes with their arguments, all of which are 64-bit words, and the two kinds of entry points.
const (
	NewContext         Probe = 1 + iota // new_context(context, parent)
	WordData                            // word_data(context, key, value)
	StringData                          // string_data(context, key, value)
	BlobData                            // blob_data(context, key, pointer, size)
	Data                                // data(context, array, length)
	NewContextWithData                  // new_context_with_data(context, parent, array, length)
	SessionEnter                        // entry of a library function whose first argument is the session that it works on
	SessionLeave                        // entry of a library function whose first argument is the session that it releases
)

// probeTable lists the name and the number of arguments of each Probe.
var probeTable = [...]struct {
	name      string
	arguments int
}{
	NewContext:         {"new_context", 2},
	WordData:           {"word_data", 3},
	StringData:         {"string_data", 3},
	BlobData:           {"blob_data", 4},
	Data:               {"data", 3},
	NewContextWithData: {"new_context_with_data", 4},
	SessionEnter:       {"session_enter", 1},
	SessionLeave:       {"session_leave", 1},
}

// String returns the name of the probe as in notes, or "session_enter" or "session_leave" for entry points.
func (p Probe) String() string {
	if p == 0 || int(p) >= len(probeTable) {
		return fmt.Sprintf("Probe(%d)", uint8(p))
	}
	return probeTable[p].name
}

// usdtProbe returns the USDT probe with that name. It returns false for an unknown name.
func usdtProbe(name string) (Probe, bool) {
	for p := NewContext; p < SessionEnter; p++ {
		if probeTable[p].name == name {
			return p, true
		}
	}
	return 0, false
}
