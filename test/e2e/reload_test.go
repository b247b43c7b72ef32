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
)

// reload writes a configuration, has the agent read it and waits until it says what it made of it.
func (a *agent) reload(config, text, want string) {
	a.t.Helper()
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		a.t.Fatal(err)
	}
	if err := a.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		a.t.Fatal(err)
	}
	a.waitLog(want)
}

// While one library comes and goes, a bad file is refused and everything else changes, no event of the other is lost.
func TestReload(t *testing.T) {
	dir := t.TempDir()
	stays := install(t, samplePath, filepath.Join(dir, unique(t, "stays")))
	goes := install(t, samplePath, filepath.Join(dir, unique(t, "goes")))
	config := filepath.Join(dir, "crau.yaml")
	both := "libraries: [" + stays + ", " + goes + "]\n"
	if err := os.WriteFile(config, []byte(both), 0o600); err != nil {
		t.Fatal(err)
	}
	a := startAgent(t, nil, "--config", config, "--exporter", "console", "--console-format", "json", "--idle-timeout", "200ms")

	const handshakes = 300
	through := start(t, exec.Command(stays, "--rate", "100", "--count", "300"))
	a.reload(config, "libraries: [\n", "crau.yaml:")
	a.reload(config, "libraries: ["+stays+"]\nring: {size: 1MiB}\nlog: {level: debug}\n"+
		"services: [{name: renamed, executable: stays-*}]\npolicy: {name: pq-only}\nprivacy: {keys: {deny: [pk::bits]}}\n",
		"keys=ring.size")
	a.waitLog("msg=detached file=" + goes)
	if out, err := exec.Command(goes, "--count", "3", "--rate", "0").CombinedOutput(); err != nil { // unseen
		t.Fatalf("%v\n%s", err, out)
	}
	time.Sleep(2 * settled) // trees that are idle for 200 ms end as the configuration says by then
	a.reload(config, both+"log: {level: debug}\n", "msg=attached file="+goes)
	if out, err := exec.Command(goes, "--count", "2", "--rate", "0").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if err := through.Wait(); err != nil {
		t.Fatal(err)
	}
	n := a.stop()
	n.checkExact(t, n["hits"])

	var own []*span
	renamed, violating, denied := 0, 0, 0
	for _, s := range consoleSpans(t, a.stdout.Bytes()) {
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
	roots := trees(t, own)
	if len(roots) != 2*handshakes || len(own) != 2*handshakes*9 {
		t.Errorf("%d trees of %d spans, want %d of %d", len(roots), len(own), 2*handshakes, 2*handshakes*9)
	}
	for what, got := range map[string]int{"renamed": renamed, "violating": violating, "without a denied key": denied} {
		if got == 0 || got == len(own) {
			t.Errorf("%d of %d spans are %s, want some", got, len(own), what)
		}
	}
	if got := len(trees(t, ofService(consoleSpans(t, a.stdout.Bytes()), filepath.Base(goes)))); got != 4 {
		t.Errorf("%d trees of what came back, want 4", got)
	}
	if refused := line(t, a.logText(), "level=ERROR"); !strings.Contains(refused, "configuration not reloaded") {
		t.Errorf("the bad file is refused with %s", refused)
	}
	if !slices.Contains(strings.Fields(line(t, a.logText(), "level=WARN")), "keys=ring.size") {
		t.Error("the key that takes a restart is not named")
	}
}

// Scopes change in the kernel's program, too: what it was not to send comes as soon as it is asked for.
func TestReloadOfScopes(t *testing.T) {
	config := filepath.Join(t.TempDir(), "crau.yaml")
	stages := []struct {
		scopes string
		spans  int // of one pair of handshakes
	}{{"[]", spansPerPair}, {"[tls]", 7}, {"[pk]", 11}, {"[tls, pk]", spansPerPair}, {"[ssh]", 0}, {"[]", spansPerPair}}
	if err := os.WriteFile(config, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	a := startAgent(t, nil, "--config", config, "--library", samplePath, "--exporter", "console", "--console-format", "json",
		"--idle-timeout", "20ms")
	hits, want := 0, 0
	for _, stage := range stages {
		if err := os.WriteFile(config, []byte("scopes: "+stage.scopes+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		said := strings.Count(a.logText(), "configuration reloaded")
		if err := a.cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		for strings.Count(a.logText(), "configuration reloaded") == said {
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(settled) // until the mapping's next tick
		hits += runSample(t, "--count", "1", "--rate", "0")
		time.Sleep(settled)
		want += stage.spans
	}
	a.stop().checkExact(t, hits)
	spans := consoleSpans(t, a.stdout.Bytes())
	if len(spans) != want {
		names := make(map[string]int)
		for _, s := range spans {
			names[s.Name]++
		}
		t.Errorf("%d spans, want %d: %v", len(spans), want, names)
	}
}
