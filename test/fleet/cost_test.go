// SPDX-License-Identifier: Apache-2.0

//go:build fleet

package fleet

import (
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/crau-otel/crau-otel/test/harness"
)

// BenchmarkCollectors measures the cost of a span in the collectors of a fleet: it sends the trees of 20,000 pairs of
// handshakes through both, and reports spans per second of CPU time, and the bytes of a span on the wire and in Kafka.
// docs/fleet.md has the results.
//
//	FLEET=... go test -tags fleet -run xxx -bench Collectors -benchtime 1x ./test/fleet
func BenchmarkCollectors(b *testing.B) {
	for range b.N {
		backend, err := harness.NewReceiver(harness.ReceiverConfig{CountOnly: true})
		if err != nil {
			b.Fatal(err)
		}
		defer backend.Close()
		c := startCollectors(b, 100, backend.Address())
		agent, sample := audit(b, c.otlp, "load", "OTEL_METRICS_EXPORTER=none")
		before := []time.Duration{cpu(b, c.collector), cpu(b, c.gateway)}
		hits := harness.RunSample(b, sample, "--rate", "2000", "--count", "20000", "--threads", "2")
		totals := agent.Stop()
		totals.CheckExact(b, hits)
		spans := totals["spans"]
		eventually(b, "all spans at the backend", func() bool { return backend.Accepted.Load() >= uint64(spans) })
		b.ReportMetric(float64(spans)/(cpu(b, c.collector)-before[0]).Seconds(), "collector-spans/core-s")
		b.ReportMetric(float64(spans)/(cpu(b, c.gateway)-before[1]).Seconds(), "gateway-spans/core-s")
		b.ReportMetric(float64(backend.Bytes.Load())/float64(spans), "otlp-B/span")
		b.ReportMetric(float64(size(b, c.topics))/float64(spans), "kafka-B/span")
		b.ReportMetric(float64(spans), "spans")
	}
}

func cpu(b *testing.B, h *hop) time.Duration {
	b.Helper()
	d, err := harness.CPUTime(h.cmd.Process.Pid)
	if err != nil {
		b.Fatal(err)
	}
	return d
}

// size returns how many bytes the records of Kafka's topics use.
func size(b *testing.B, dir string) (bytes int64) {
	b.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.Contains(path, "otlp_spans") || strings.HasSuffix(path, ".index") {
			return err
		}
		info, err := e.Info()
		if err == nil {
			bytes += info.Size()
		}
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	return bytes
}
