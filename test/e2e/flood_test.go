// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/crau-otel/crau-otel/test/harness"
)

// The tests in this file are not parallel, because they use all the CPU time of the machine, so that other tests would
// miss their deadlines.

func TestFloodIsAccountedToTheEvent(t *testing.T) {
	sample := ownSample(t)
	a := trace(t, sample, "--ring-size", "64KiB")
	count := "1000000"
	if testing.Short() {
		count = "300000"
	}
	hits := harness.RunSample(t, sample, "--mode", "flood", "--count", count)
	n := a.Stop()
	n.CheckExact(t, hits)
	if n["lost.ring_full"]+n["lost.rate_limited"] == 0 {
		t.Errorf("a ring of 64KiB lost nothing of %d hits: the flood is no flood", hits)
	}
	roots := harness.Trees(t, a.ConsoleSpans())
	if len(roots) != 1 || roots[0].Attributes["crypto.incomplete"] != true {
		t.Errorf("%d trees; the one of the flood must say that it is incomplete", len(roots))
	}
}

func TestFloodDoesNotCostOthersTheirEvents(t *testing.T) {
	sample := ownSample(t)
	a := trace(t, sample, "--ring-size", "256KiB")
	flood := harness.StartProgram(t, exec.Command(sample, "--mode", "flood", "--count", "1000000000"))
	harness.RunSample(t, sample, "--count", "100", "--rate", "50")
	harness.Finish(t, flood)
	n := a.Stop()
	n.CheckExact(t, n["hits"])
	if n["lost.ring_full"]+n["lost.rate_limited"] == 0 {
		t.Error("the flood lost nothing: it is no flood")
	}
	spans := a.ConsoleSpans()
	var handshakes []*harness.Span
	for _, s := range spans {
		if s.Name != "test::flood" {
			handshakes = append(handshakes, s)
		}
	}
	harness.CheckPairs(t, "sample", handshakes, 100)
}

// A user who forks a child for every 250 hits, to evade the limit on hits per process, does not make a program of
// another user lose hits.
func TestForkFloodCostsOthersNothing(t *testing.T) {
	const attacker, victim = 4711, 4712
	dir := t.TempDir()
	for _, folder := range []string{dir, filepath.Dir(dir)} { // the other users must be able to read it
		if err := os.Chmod(folder, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	as := func(uid uint32, path string, args ...string) *exec.Cmd {
		cmd := exec.Command(path, args...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: &syscall.Credential{Uid: uid, Gid: uid}}
		return cmd
	}
	sample := harness.Copy(t, samplePath, filepath.Join(dir, "sample"))
	attack := harness.Compile(t, "../..", filepath.Join(dir, "attack"), "../adversary/testdata/attack.c")
	r := harness.Receive(t, harness.ReceiverConfig{})
	a := startAgent(t, []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + r.Endpoint()},
		"--ring-size", "256KiB", "--library", sample, "--library", attack)
	forks := harness.StartProgram(t, as(attacker, attack, "forks"))
	t.Cleanup(func() { _ = syscall.Kill(-forks.Process.Pid, syscall.SIGKILL) })
	time.Sleep(time.Second)
	if out, err := as(victim, sample, "--count", "100", "--rate", "50").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	_ = syscall.Kill(-forks.Process.Pid, syscall.SIGKILL)
	n := a.Stop()
	n.CheckExact(t, n["hits"])
	if n["lost.owner_limited"] == 0 {
		t.Errorf("the attacker lost nothing: it is no flood: %v", n)
	}
	harness.CheckPairs(t, "sample", ofService(r.Spans(), "sample"), 100)
}

func TestProcessRateLimitsAProcess(t *testing.T) {
	sample := ownSample(t)
	a := startAgent(t, []string{"CRAU_LIMITS_PROCESS_RATE=1000"}, "--library", sample, "--exporter", "none")
	hits := harness.RunSample(t, sample, "--mode", "flood", "--count", "20000")
	n := a.Stop()
	n.CheckExact(t, hits)
	if n["events.exported"] < 1000 || n["events.exported"] > 3000 {
		t.Errorf("%d events of one process in much less than a second, want about 1000", n["events.exported"])
	}
}
