// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/crau-otel/crau-otel/test/harness"
)

// With --user no thread of the program keeps more than the three capabilities that it always needs, and it still traces everything.
func TestUserKeepsOnlyTheCapabilitiesItNeeds(t *testing.T) {
	t.Parallel()
	sample := ownSample(t)
	a := trace(t, sample, "--user", "nobody")
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", a.PID()))
	if err != nil || len(tasks) == 0 {
		t.Fatalf("%d threads, error %v", len(tasks), err)
	}
	kept := fmt.Sprintf("%016x", 1<<capBPF|1<<capPerfmon|1<<capLease)
	none := fmt.Sprintf("%016x", 0)
	for _, task := range tasks {
		status, err := os.ReadFile(task)
		if err != nil {
			continue // the thread has ended
		}
		found := make(map[string]string)
		for line := range strings.Lines(string(status)) {
			key, value, _ := strings.Cut(line, ":")
			found[key] = strings.Join(strings.Fields(value), " ")
		}
		for key, want := range map[string]string{
			"Uid": "65534 65534 65534 65534", "CapEff": kept, "CapPrm": kept, "CapInh": none, "CapAmb": none, "CapBnd": none,
			"NoNewPrivs": "1", "Groups": "",
		} {
			if found[key] != want {
				t.Errorf("%s: %s is %q, want %q", task, key, found[key], want)
			}
		}
	}
	hits := harness.RunSample(t, sample, "--count", "2", "--rate", "0")
	a.Stop().CheckExact(t, hits)
	harness.CheckPairs(t, "sample", a.ConsoleSpans(), 2)
}
