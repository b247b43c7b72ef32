// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/crau-otel/crau-otel/test/harness"
)

// mapped is a time after which the mapper has handled all earlier events: longer than its ticks and the idle timeouts
// in these tests.
const mapped = 300 * time.Millisecond

// reload writes a configuration, sends SIGHUP to the agent and waits until its log contains want.
func reload(t *testing.T, a *harness.TestAgent, config, text, want string) {
	t.Helper()
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	a.Signal(syscall.SIGHUP)
	a.WaitLog(want)
}

// A reload adds a library, removes another and changes other settings. No event of libraries that stay attached is
// lost. An invalid configuration is refused.
func TestReloadLosesNoEventOfWhatStays(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	stays := harness.Copy(t, samplePath, filepath.Join(dir, unique(t, "stays")))
	goes := harness.Copy(t, samplePath, filepath.Join(dir, unique(t, "goes")))
	config := filepath.Join(dir, "crau.yaml")
	both := "libraries: [" + stays + ", " + goes + "]\n"
	if err := os.WriteFile(config, []byte(both), 0o600); err != nil {
		t.Fatal(err)
	}
	a := startAgent(t, nil, append(asJSON, "--config", config, "--idle-timeout", "200ms")...)

	const handshakes = 300
	through := harness.StartProgram(t, exec.Command(stays, "--rate", "100", "--count", "300"))
	reload(t, a, config, "libraries: [\n", "crau.yaml:")
	reload(t, a, config, "libraries: ["+stays+"]\nring: {size: 1MiB}\nlog: {level: debug}\n"+
		"services: [{name: renamed, executable: stays-*}]\npolicy: {name: pq-only}\nprivacy: {keys: {deny: [pk::bits]}}\n",
		"keys=ring.size")
	a.WaitLog("msg=detached file=" + goes)
	if out, err := exec.Command(goes, "--count", "3", "--rate", "0").CombinedOutput(); err != nil { // detached
		t.Fatalf("%v\n%s", err, out)
	}
	time.Sleep(2 * mapped) // longer than the new idle timeout of 200 ms
	reload(t, a, config, both+"log: {level: debug}\n", "msg=attached file="+goes)
	if out, err := exec.Command(goes, "--count", "2", "--rate", "0").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if err := through.Wait(); err != nil {
		t.Fatal(err)
	}
	n := a.Stop()
	n.CheckExact(t, n["hits"])

	var own []*harness.Span
	renamed, violating, denied := 0, 0, 0
	for _, s := range a.ConsoleSpans() {
		if s.Resource["process.executable.name"] != filepath.Base(stays) {
			continue
		}
		own = append(own, s)
		if s.Resource["service.name"] == "renamed" {
			renamed++
		}
		if s.Attributes["crypto.policy.violations"] != nil {
			violating++
			delete(s.Attributes, "crypto.policy.violations")
		}
		if strings.HasPrefix(s.Name, "pk::") && s.Attributes["pk.bits"] == nil && s.Attributes["pk.curve"] != nil {
			denied++
		}
	}
	roots := harness.Trees(t, own)
	if len(roots) != 2*handshakes || len(own) != 2*handshakes*9 {
		t.Errorf("%d trees of %d spans, want %d of %d", len(roots), len(own), 2*handshakes, 2*handshakes*9)
	}
	for what, got := range map[string]int{"renamed": renamed, "violating": violating, "without a denied key": denied} {
		if got == 0 || got == len(own) {
			t.Errorf("%d of %d spans are %s, want some", got, len(own), what)
		}
	}
	if got := len(harness.Trees(t, ofService(a.ConsoleSpans(), filepath.Base(goes)))); got != 4 {
		t.Errorf("%d trees of what came back, want 4", got)
	}
	if refused := line(t, a.Log(), "level=ERROR"); !strings.Contains(refused, "configuration not reloaded") {
		t.Errorf("the bad file is refused with %s", refused)
	}
	if !slices.Contains(strings.Fields(line(t, a.Log(), "level=WARN")), "keys=ring.size") {
		t.Error("the key that takes a restart is not named")
	}
}

// A change of scopes applies to all events after the reload. It also changes the filter in the kernel.
func TestReloadOfScopesHoldsAtOnce(t *testing.T) {
	t.Parallel()
	config := filepath.Join(t.TempDir(), "crau.yaml")
	stages := []struct {
		scopes string
		spans  int // number of spans of one pair of handshakes
	}{{"[]", spansPerPair}, {"[tls]", 7}, {"[pk]", 11}, {"[tls, pk]", spansPerPair}, {"[ssh]", 0}, {"[]", spansPerPair}}
	if err := os.WriteFile(config, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	sample := ownSample(t)
	a := trace(t, sample, "--config", config, "--idle-timeout", "20ms")
	hits, want := 0, 0
	for _, stage := range stages {
		if err := os.WriteFile(config, []byte("scopes: "+stage.scopes+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		before := strings.Count(a.Log(), "configuration reloaded")
		a.Signal(syscall.SIGHUP)
		a.WaitLogs("configuration reloaded", before+1)
		time.Sleep(mapped) // until the mapper's next tick
		hits += harness.RunSample(t, sample, "--count", "1", "--rate", "0")
		time.Sleep(mapped)
		want += stage.spans
	}
	a.Stop().CheckExact(t, hits)
	spans := a.ConsoleSpans()
	if len(spans) != want {
		names := make(map[string]int)
		for _, s := range spans {
			names[s.Name]++
		}
		t.Errorf("%d spans, want %d: %v", len(spans), want, names)
	}
}
