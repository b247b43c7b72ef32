// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// spansPerPair is how many spans a client's and a server's handshake of the sample program are.
const spansPerPair = 18

// startExporting starts crau-otel with small batches that exports to the address.
func startExporting(t *testing.T, endpoint string, env ...string) *agent {
	t.Helper()
	return startAgent(t, append([]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT=" + endpoint, "OTEL_METRICS_EXPORTER=none", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE=50",
	}, env...), "--library", samplePath)
}

// A receiver that goes away under load and is back before the queue is full gets everything.
func TestReceiverThatGoesAwayAndComesBack(t *testing.T) {
	r := startReceiver(t)
	a := startExporting(t, r.endpoint)
	hits := runSample(t, "--count", "20", "--rate", "0")
	r.waitFor(t, 20*spansPerPair, 30*time.Second)
	r.server.Stop()
	hits += runSample(t, "--count", "100", "--rate", "50")
	a.waitLog("cannot export spans yet, trying again")
	back := startReceiverAt(t, strings.TrimPrefix(r.endpoint, "http://"))
	hits += runSample(t, "--count", "20", "--rate", "0")
	back.waitFor(t, 120*spansPerPair, 30*time.Second)
	n := a.stop()
	n.checkExact(t, hits)
	if n["events.exported"] != hits {
		t.Errorf("%d hits, %d exported: %v", hits, n["events.exported"], n)
	}
	checkPairs(t, append(r.received(), back.received()...), 140)
}

// Away for longer than the queue has room: what fits is delivered once it is back, and the rest is counted.
func TestReceiverThatIsAwayTooLong(t *testing.T) {
	address := unused(t)
	a := startExporting(t, "http://"+address, "OTEL_BSP_MAX_QUEUE_SIZE=500")
	hits := runSample(t, "--count", "100", "--rate", "0")
	a.waitLog("cannot export spans yet, trying again")
	time.Sleep(3 * time.Second) // the last trees end when they have been idle for two
	r := startReceiverAt(t, address)
	a.waitLog("spans are exported again")
	n := a.stop()
	n.checkExact(t, hits)
	if got := len(r.received()); got != n["spans"] || got < 450 || got > 500+50 {
		t.Errorf("%d spans arrived, %d exported, want the 500 that fit, and the batch that was tried: %v", got, n["spans"], n)
	}
	if n["lost.queue_full"] == 0 || n["lost.export_failed"] != 0 {
		t.Errorf("the rest did not fit: %v", n)
	}
}

func TestReceiverThatAnswersWithErrors(t *testing.T) {
	var calls atomic.Int32
	r := startReceiverThat(t, "127.0.0.1:0", func(context.Context) error {
		switch n := calls.Add(1); {
		case n <= 3:
			return status.Error(codes.Unavailable, "starting")
		case n == 6:
			return status.Error(codes.InvalidArgument, "no such tenant")
		}
		return nil
	})
	a := startExporting(t, r.endpoint)
	hits := runSample(t, "--count", "40", "--rate", "0")
	a.waitLog("spans are lost")
	n := a.stop()
	n.checkExact(t, hits)
	if got := len(r.received()); got != n["spans"] || got < 40*spansPerPair-50 || got >= 40*spansPerPair {
		t.Errorf("%d spans arrived, %d exported, want all but one batch: %v", got, n["spans"], n)
	}
	if n["lost.export_failed"] != hits-n["events.exported"] {
		t.Errorf("the refused batch is not counted as such: %v", n)
	}
	line(t, a.logText(), "level=WARN", "cannot export spans yet, trying again", "starting")
	line(t, a.logText(), "level=WARN", "spans are lost", "no such tenant")
}

// The first calls never end, the others take long: they are given up and tried again, or waited for.
func TestReceiverThatIsSlow(t *testing.T) {
	var calls atomic.Int32
	r := startReceiverThat(t, "127.0.0.1:0", func(ctx context.Context) error {
		if calls.Add(1) <= 2 {
			<-ctx.Done()
			return ctx.Err()
		}
		time.Sleep(100 * time.Millisecond)
		return nil
	})
	a := startExporting(t, r.endpoint, "OTEL_BSP_EXPORT_TIMEOUT=500")
	hits := runSample(t, "--count", "40", "--rate", "0")
	a.checkAllArrives(r, hits, 40)
}

// A receiver that takes less in one message than a batch has gets smaller ones.
func TestReceiverThatRefusesTheSize(t *testing.T) {
	r := startReceiverThat(t, "127.0.0.1:0", nil, grpc.MaxRecvMsgSize(4000))
	a := startExporting(t, r.endpoint)
	hits := runSample(t, "--count", "20", "--rate", "0")
	a.checkAllArrives(r, hits, 20)
}

// checkAllArrives waits for so many pairs of handshakes, stops the agent and checks that nothing was lost.
func (a *agent) checkAllArrives(r *receiver, hits, pairs int) {
	a.t.Helper()
	r.waitFor(a.t, pairs*spansPerPair, 30*time.Second)
	n := a.stop()
	n.checkExact(a.t, hits)
	if n["events.exported"] != hits {
		a.t.Errorf("%d hits, %d exported: %v", hits, n["events.exported"], n)
	}
	checkPairs(a.t, r.received(), pairs)
}
