// SPDX-License-Identifier: Apache-2.0

package probes

import "fmt"

// provider is the USDT provider whose notes this package reads.
const provider = "crypto_auditing"

// Probe says which of the probes a site is. The values mirror enum crau_probe
// in bpf/audit.h.
type Probe uint8

// The probes and their arguments, all of them 64-bit words.
const (
	NewContext         Probe = 1 + iota // new_context(context, parent)
	WordData                            // word_data(context, key, value)
	StringData                          // string_data(context, key, value)
	BlobData                            // blob_data(context, key, pointer, size)
	Data                                // data(context, array, length)
	NewContextWithData                  // new_context_with_data(context, parent, array, length)
	SessionEnter                        // not a USDT probe: entry of a library function that works on its first argument, a session
	SessionLeave                        // likewise: entry of a library function that forgets a session
)

// probeTable holds, by Probe, the name in the note and the number of arguments.
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

// String returns the probe's name as notes spell it, "session_enter" and
// "session_leave" for entry points.
func (p Probe) String() string {
	if p == 0 || int(p) >= len(probeTable) {
		return fmt.Sprintf("Probe(%d)", uint8(p))
	}
	return probeTable[p].name
}

// usdtProbe returns the USDT probe of that name.
func usdtProbe(name string) (Probe, bool) {
	for p := NewContext; p < SessionEnter; p++ {
		if probeTable[p].name == name {
			return p, true
		}
	}
	return 0, false
}
