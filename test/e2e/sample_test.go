// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/crau-otel/crau-otel/test/harness"
)

func TestAllStylesArriveWholeOverOTLP(t *testing.T) {
	t.Parallel()
	for _, style := range []string{"explicit", "self", "link"} {
		t.Run(style, func(t *testing.T) {
			t.Parallel()
			r := harness.Receive(t, harness.ReceiverConfig{})
			sample := ownSample(t)
			a := startAgent(t, []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + r.Endpoint()}, "--library", sample)
			hits := harness.RunSample(t, sample, "--style", style, "--count", "3", "--rate", "50")
			a.Stop().CheckExact(t, hits)
			harness.CheckPairs(t, "sample", r.Spans(), 3)
		})
	}
}

// The context value is a call site, which threads, processes and repeated handshakes share.
func TestConcurrentHandshakesDoNotMix(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"--threads", "4"}, {"--forks", "4"}, {"--forks", "2", "--threads", "2"}} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			sample := ownSample(t)
			a := trace(t, sample)
			hits := harness.RunSample(t, sample, append(args, "--rate", "0", "--count", "400")...)
			a.Stop().CheckExact(t, hits)
			harness.CheckPairs(t, "sample", a.ConsoleSpans(), 400)
		})
	}
}

// It has a deadline: not parallel.
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
