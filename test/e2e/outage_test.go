// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/crau-otel/crau-otel/test/harness"
)

// spansPerPair is the number of spans of one client's and one server's handshake that the sample program reports.
const spansPerPair = harness.SpansPerPair

// startExporting starts an agent that traces a file and exports to an endpoint in small batches.
func startExporting(t *testing.T, file, endpoint string, env ...string) *harness.TestAgent {
	t.Helper()
	return startAgent(t, append([]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT=" + endpoint, "OTEL_METRICS_EXPORTER=none", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE=50",
	}, env...), "--library", file)
}

// If the receiver is stopped under load and comes back before the queue is full, it gets everything.
func TestReceiverThatGoesAwayAndComesBackGetsEverything(t *testing.T) {
	t.Parallel()
	sample := ownSample(t)
	r := harness.Receive(t, harness.ReceiverConfig{})
	a := startExporting(t, sample, r.Endpoint())
	hits := harness.RunSample(t, sample, "--count", "20", "--rate", "0")
	r.WaitSpans(20*spansPerPair, 30*time.Second)
	r.Close()
	hits += harness.RunSample(t, sample, "--count", "100", "--rate", "50")
	a.WaitLog("cannot export spans yet; retrying")
	if err := r.Listen(); err != nil {
		t.Fatal(err)
	}
	hits += harness.RunSample(t, sample, "--count", "20", "--rate", "0")
	r.WaitSpans(140*spansPerPair, 30*time.Second)
	n := a.Stop()
	n.CheckExact(t, hits)
	if n["events.exported"] != hits {
		t.Errorf("%d hits, %d exported: %v", hits, n["events.exported"], n)
	}
	harness.CheckPairs(t, "sample", harness.Unique(r.Spans()), 140)
}

func TestReceiverThatIsAwayTooLongGetsWhatFitsIntoTheQueue(t *testing.T) {
	t.Parallel()
	sample := ownSample(t)
	address := harness.UnusedAddress(t)
	a := startExporting(t, sample, "http://"+address, "OTEL_BSP_MAX_QUEUE_SIZE=500")
	hits := harness.RunSample(t, sample, "--count", "100", "--rate", "0")
	a.WaitLog("cannot export spans yet; retrying")
	time.Sleep(3 * time.Second) // the last trees end after two seconds without events
	r := harness.Receive(t, harness.ReceiverConfig{Address: address})
	a.WaitLog("spans are exported again")
	n := a.Stop()
	n.CheckExact(t, hits)
	if got := len(r.Spans()); got != n["spans"] || got < 450 || got > 500+50 {
		t.Errorf("%d spans arrived, %d exported, want the 500 that fit, and the batch that was tried: %v", got, n["spans"], n)
	}
	if n["lost.queue_full"] == 0 || n["lost.export_failed"] != 0 {
		t.Errorf("the rest did not fit: %v", n)
	}
}

func TestErrorsOfAReceiverAreRetriedOrCounted(t *testing.T) {
	t.Parallel()
	sample := ownSample(t)
	starting := harness.Fail(codes.Unavailable, "starting")
	r := harness.Receive(t, harness.ReceiverConfig{Answer: harness.Script(
		starting, starting, starting, nil, nil, harness.Fail(codes.InvalidArgument, "no such tenant"),
	)})
	a := startExporting(t, sample, r.Endpoint())
	hits := harness.RunSample(t, sample, "--count", "40", "--rate", "0")
	a.WaitLog("spans are lost")
	n := a.Stop()
	n.CheckExact(t, hits)
	if got := len(r.Spans()); got != n["spans"] || got < 40*spansPerPair-50 || got >= 40*spansPerPair {
		t.Errorf("%d spans arrived, %d exported, want all but one batch: %v", got, n["spans"], n)
	}
	if n["lost.export_failed"] != hits-n["events.exported"] {
		t.Errorf("the refused batch is not counted as such: %v", n)
	}
	line(t, a.Log(), "level=WARN", "cannot export spans yet; retrying", "starting")
	line(t, a.Log(), "level=WARN", "spans are lost", "no such tenant")
}

// If the first calls to a receiver never end, they are retried. The agent waits for slow calls. The receiver gets
// everything.
func TestSlowReceiverGetsEverything(t *testing.T) {
	t.Parallel()
	sample := ownSample(t)
	slow := harness.Delay(100 * time.Millisecond)
	r := harness.Receive(t, harness.ReceiverConfig{Answer: func(ctx context.Context, call harness.Call) harness.Reply {
		if call.Number <= 2 {
			return harness.Hang(ctx, call)
		}
		return slow(ctx, call)
	}})
	a := startExporting(t, sample, r.Endpoint(), "OTEL_BSP_EXPORT_TIMEOUT=500")
	hits := harness.RunSample(t, sample, "--count", "40", "--rate", "0")
	checkAllArrives(t, a, r, hits, 40)
}

// If the receiver's limit on message sizes is smaller than a batch, the agent sends smaller batches.
func TestReceiverThatRefusesTheSizeGetsSmallerBatches(t *testing.T) {
	t.Parallel()
	sample := ownSample(t)
	r := harness.Receive(t, harness.ReceiverConfig{Options: []grpc.ServerOption{grpc.MaxRecvMsgSize(4000)}})
	a := startExporting(t, sample, r.Endpoint())
	hits := harness.RunSample(t, sample, "--count", "20", "--rate", "0")
	checkAllArrives(t, a, r, hits, 20)
}

// If a receiver asks to retry after an hour, the agent tries again when it shuts down.
func TestWaitOfAReceiverEndsWithTheAgent(t *testing.T) {
	t.Parallel()
	sample := ownSample(t)
	r := harness.Receive(t, harness.ReceiverConfig{Answer: harness.Script(
		harness.FailFor(codes.ResourceExhausted, "quota is used up", time.Hour),
	)})
	a := startExporting(t, sample, r.Endpoint(), "CRAU_SPANS_IDLE_TIMEOUT=100ms", "CRAU_SHUTDOWN_TIMEOUT=5s")
	hits := harness.RunSample(t, sample, "--count", "20", "--rate", "0")
	a.WaitLog("quota is used up")
	n := a.Stop()
	n.CheckExact(t, hits)
	if n["events.exported"] != hits || int(r.Accepted.Load()) != 20*spansPerPair {
		t.Errorf("%d hits, %d exported, %d spans arrived", hits, n["events.exported"], r.Accepted.Load())
	}
}

// If a program makes more trees than a slow receiver accepts, only trees of that program are lost.
func TestProgramThatFillsTheQueueCostsOthersNothing(t *testing.T) {
	t.Parallel()
	flood, victim := harness.Copy(t, samplePath, filepath.Join(t.TempDir(), "flood")), harness.Copy(t, samplePath, filepath.Join(t.TempDir(), "victim"))
	r := harness.Receive(t, harness.ReceiverConfig{Answer: harness.Delay(100 * time.Millisecond)})
	a := startAgent(t, []string{
		"OTEL_EXPORTER_OTLP_ENDPOINT=" + r.Endpoint(), "OTEL_METRICS_EXPORTER=none", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE=50",
		"OTEL_BSP_MAX_QUEUE_SIZE=2000", "CRAU_SPANS_IDLE_TIMEOUT=100ms", "CRAU_SHUTDOWN_TIMEOUT=30s",
	}, "--library", flood, "--library", victim)
	cmd := harness.StartProgram(t, exec.Command(flood, "--count", "1000000", "--rate", "500"))
	harness.RunSample(t, victim, "--count", "100", "--rate", "20")
	harness.Finish(t, cmd)
	line(t, a.Log(), "level=WARN", "export queue is full", "service=flood")
	n := a.Stop()
	n.CheckExact(t, n["hits"])
	if n["lost.queue_full"] == 0 {
		t.Errorf("nothing was lost: the flood is no flood: %v", n)
	}
	harness.CheckPairs(t, "victim", ofService(r.Spans(), "victim"), 100)
}

// checkAllArrives waits for the spans of pairs pairs of handshakes, stops the agent and checks that no hit was lost.
func checkAllArrives(t *testing.T, a *harness.TestAgent, r *harness.TestReceiver, hits, pairs int) {
	t.Helper()
	r.WaitSpans(pairs*spansPerPair, 30*time.Second)
	n := a.Stop()
	n.CheckExact(t, hits)
	if n["events.exported"] != hits {
		t.Errorf("%d hits, %d exported: %v", hits, n["events.exported"], n)
	}
	harness.CheckPairs(t, "sample", r.Spans(), pairs)
}

// OTEL_SDK_DISABLED disables all exports, and the log says so.
func TestDisabledSDKExportsNothing(t *testing.T) {
	t.Parallel()
	sample := ownSample(t)
	r := harness.Receive(t, harness.ReceiverConfig{})
	a := startExporting(t, sample, r.Endpoint(), "OTEL_SDK_DISABLED=True", "OTEL_METRICS_EXPORTER=otlp")
	hits := harness.RunSample(t, sample, "--count", "2", "--rate", "0")
	a.Stop().CheckExact(t, hits)
	if n := r.Calls.Load(); n != 0 || len(r.Metrics.Values()) != 0 {
		t.Errorf("%d calls and metrics %v, want none", n, r.Metrics.Values())
	}
	line(t, a.Log(), "level=WARN", "nothing is exported", "OTEL_SDK_DISABLED")
	line(t, a.Log(), "msg=ready", "exporter=none")
}
