// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/crau-otel/crau-otel/test/harness"
)

// With --user, no thread of the agent keeps more than the three capabilities that it needs all the time, and everything
// is still traced.
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

// Without discovery, libraries are attached before the agent stops being root. A library that the user cannot reach
// afterwards stays attached.
func TestUserKeepsLibrariesThatOnlyRootCanRead(t *testing.T) {
	t.Parallel()
	folder := t.TempDir() // its parent folder can only be searched by root
	unreachable := harness.Copy(t, samplePath, filepath.Join(folder, "unreachable"))
	public := copies(t, samplePath)[0]
	unreadable, late := filepath.Join(filepath.Dir(public), "unreadable"), filepath.Join(filepath.Dir(public), "late")
	if err := errors.Join(os.Rename(public, unreadable), os.Chmod(unreadable, 0o700)); err != nil {
		t.Fatal(err)
	}
	a := startAgent(t, nil, append(asJSON, "--library", unreachable, "--library", unreadable, "--library", late, "--user", "nobody")...)
	line(t, a.Log(), "msg=ready", "files=2")

	// The agent looks for the third library until it exists.
	harness.Copy(t, samplePath, late)
	a.WaitLog("msg=attached file=" + late)
	for _, program := range []string{unreachable, unreadable} {
		harness.RunSample(t, program, "--count", "1", "--rate", "0")
	}
	hits := a.Stop()["hits"]
	var names []string
	for _, span := range a.ConsoleSpans() {
		if span.Name == "tls::handshake" {
			names = append(names, fmt.Sprint(span.Resource["service.name"]))
		}
	}
	slices.Sort(names)
	if want := []string{"unreachable", "unreachable", "unreadable", "unreadable"}; !slices.Equal(names, want) {
		t.Errorf("handshakes of %q, want %q; %d hits\n%s", names, want, hits, a.Log())
	}
	if strings.Contains(a.Log(), "msg=detached file="+folder) {
		t.Errorf("detached:\n%s", a.Log())
	}
	line(t, a.Log(), "level=WARN", "library cannot be reached any more", "file="+unreachable)
}
