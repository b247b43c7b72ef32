// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/crau-otel/crau-otel/test/harness"
)

func TestAllStylesArriveWholeOverOTLP(t *testing.T) {
	t.Parallel()
	r := harness.Receive(t, harness.ReceiverConfig{})
	styles := []string{"explicit", "self", "link"}
	paths, libraries := named(t, styles)
	a := startAgent(t, []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + r.Endpoint()}, libraries...)
	hits := 0
	for i, style := range styles {
		hits += harness.RunSample(t, paths[i], "--style", style, "--count", "3", "--rate", "50")
	}
	a.Stop().CheckExact(t, hits)
	for _, style := range styles {
		t.Run(style, func(t *testing.T) { harness.CheckPairs(t, style, ofService(r.Spans(), style), 3) })
	}
}

// named returns the paths of copies of the sample program with the given names, and the arguments that make an agent
// attach them.
func named(t *testing.T, names []string) (paths, libraries []string) {
	t.Helper()
	dir := t.TempDir()
	for _, name := range names {
		path := harness.Copy(t, samplePath, filepath.Join(dir, name))
		paths, libraries = append(paths, path), append(libraries, "--library", path)
	}
	return paths, libraries
}

// Concurrent handshakes are not mixed, although their contexts have equal values: a value is the address of a call
// site, which threads, processes and repeated handshakes share.
func TestConcurrentHandshakesDoNotMix(t *testing.T) {
	t.Parallel()
	count := 400
	if testing.Short() {
		count = 100
	}
	kinds := map[string][]string{"threads": {"--threads", "4"}, "forks": {"--forks", "4"}, "both": {"--forks", "2", "--threads", "2"}}
	names := slices.Sorted(maps.Keys(kinds))
	paths, libraries := named(t, names)
	a := startAgent(t, nil, append(libraries, asJSON...)...)
	hits := 0
	for i, name := range names {
		hits += harness.RunSample(t, paths[i], append(kinds[name], "--rate", "0", "--count", strconv.Itoa(count))...)
	}
	a.Stop().CheckExact(t, hits)
	spans := a.ConsoleSpans()
	for _, name := range names {
		t.Run(name, func(t *testing.T) { harness.CheckPairs(t, name, ofService(spans, name), count) })
	}
}

// A finished tree is exported soon. The test is not parallel, because it has a deadline.
func TestFinishedTreeArrivesSoon(t *testing.T) {
	r := harness.Receive(t, harness.ReceiverConfig{})
	sample := ownSample(t)
	a := startAgent(t, []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + r.Endpoint()}, "--library", sample)
	program := harness.StartProgram(t, exec.Command(sample, "--count", "0", "--rate", "0.001"))
	defer harness.Finish(t, program)
	arrival := r.WaitSpans(18, 20*time.Second)
	last := time.Time{}
	for _, s := range r.Spans() {
		if s.End.After(last) {
			last = s.End
		}
		if s.Parent == "" && s.Attributes["crypto.context.end"] != "idle" {
			t.Errorf("the end was inferred by %v, want idle", s.Attributes["crypto.context.end"])
		}
	}
	if took := arrival.Sub(last); took > 3*time.Second {
		t.Errorf("the trees arrived %s after their last event, want at most 3 s", took)
	}
	a.Stop()
}

func TestConsoleDrawsTrees(t *testing.T) {
	t.Parallel()
	sample := ownSample(t)
	a := startAgent(t, nil, "--library", sample, "--exporter", "console")
	harness.RunSample(t, sample, "--count", "1", "--role", "server")
	a.Stop()
	out := string(a.Output())
	for _, want := range []string{
		"  sample  ended: process_exit\n",
		"\n├─ tls::key_exchange ",
		"\n│  └─ pk::encapsulate ",
		"\n   └─ pk::sign ",
		"pk.algorithm=ECDSA  pk.curve=SECP256R1  pk.bits=256  pk.hash=SHA256\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("the console lacks %q:\n%s", want, out)
		}
	}
	if strings.Contains(out, "\x1b") {
		t.Error("the console is coloured although it is no terminal")
	}
}

func TestTotalsAreLoggedWithoutAnyEvent(t *testing.T) {
	t.Parallel()
	sample := ownSample(t)
	a := startAgent(t, nil, "--library", sample, "--exporter", "none")
	a.Stop().CheckExact(t, 0)
}
