// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"testing"

	"github.com/crau-otel/crau-otel/test/harness"
)

// With --user no thread of the program keeps more than the three capabilities that it always needs, and it still traces everything.
func TestUserKeepsOnlyTheCapabilitiesItNeeds(t *testing.T) {
	t.Parallel()
	sample := ownSample(t)
	a := trace(t, sample, "--user", "nobody")
	kept := fmt.Sprintf("%016x", 1<<capBPF|1<<capPerfmon|1<<capLease)
	none := fmt.Sprintf("%016x", 0)
	checkThreads(t, a.PID(), map[string]string{
		"Uid": "65534 65534 65534 65534", "CapEff": kept, "CapPrm": kept, "CapInh": none, "CapAmb": none, "CapBnd": none,
		"NoNewPrivs": "1", "Groups": "",
	})
	hits := harness.RunSample(t, sample, "--count", "2", "--rate", "0")
	a.Stop().CheckExact(t, hits)
	harness.CheckPairs(t, "sample", a.ConsoleSpans(), 2)
}
