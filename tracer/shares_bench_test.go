// SPDX-License-Identifier: Apache-2.0

package tracer_test

import (
	"bufio"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/crau-otel/crau-otel/test/needs"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/crau-otel/crau-otel/test/harness"
	"github.com/crau-otel/crau-otel/tracer"
	"github.com/crau-otel/crau-otel/tracer/event"
)

// discard handles events by doing nothing.
type discard struct{}

func (discard) Handle(*event.Event) {}
func (discard) Tick(uint64)         {}

// loaded is a traced load program, see test/bench/testdata/load.c.
type loaded struct {
	tracer *tracer.Tracer
	fire   func(hits int)
	ns     []float64 // mean time of a run of the BPF program, for each round
}

func startLoad(b *testing.B, cfg tracer.Config, kind string) *loaded {
	b.Helper()
	tr := newTracer(b, cfg)
	path := harness.Compile(b, "..", filepath.Join(b.TempDir(), "load"), "../test/bench/testdata/load.c", "-pthread", "-DCRAU_NOP1")
	harness.File(b, tr, path)
	ctx, cancel := context.WithCancel(context.Background())
	done := start(ctx, tr, discard{})
	b.Cleanup(func() {
		cancel()
		ended(b, done)
	})
	cmd := exec.Command(path)
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	harness.StartProgram(b, cmd)
	results := bufio.NewScanner(out)
	return &loaded{tracer: tr, fire: func(hits int) {
		if _, err := fmt.Fprintf(in, "burst %s 1 %d\n", kind, hits); err != nil || !results.Scan() {
			b.Fatalf("the load program ended: %v", err)
		}
	}}
}

// round measures the runs of the BPF program in one burst of hits.
func (l *loaded) round(b *testing.B, hits int) {
	b.Helper()
	before, err := l.tracer.Program().Stats()
	if err != nil {
		b.Fatal(err)
	}
	l.fire(hits)
	after, err := l.tracer.Program().Stats()
	if err != nil {
		b.Fatal(err)
	}
	l.ns = append(l.ns, float64(after.Runtime-before.Runtime)/float64(after.RunCount-before.RunCount))
}

// BenchmarkShares compares the run time of the BPF program per hit with and without shares of owners and processes,
// according to the kernel's statistics. Rounds with and without shares alternate. On a busy machine only the fastest
// rounds are not interrupted, so the fifth percentiles are compared. Run it with -benchtime 1000x.
func BenchmarkShares(b *testing.B) {
	harness.RequireBPF(b)
	stats, err := ebpf.EnableStats(uint32(unix.BPF_STATS_RUN_TIME))
	if err != nil {
		needs.Missing(b, "%v", err)
	}
	defer stats.Close()
	for _, kind := range []string{"word", "string", "array4"} {
		b.Run(kind, func(b *testing.B) {
			const hits = 500
			with, without := startLoad(b, tracer.Config{}, kind), startLoad(b, tracer.WithoutShares(tracer.Config{}), kind)
			for i := range b.N {
				pair := []*loaded{with, without}
				for j := range pair {
					pair[(i+j)%2].round(b, hits)
				}
				time.Sleep(time.Millisecond) // time for the readers to empty the rings
			}
			quick := func(l *loaded) float64 {
				slices.Sort(l.ns)
				return l.ns[len(l.ns)/20]
			}
			b.ReportMetric(quick(with), "ns/hit")
			b.ReportMetric(quick(without), "ns/hit-without")
			b.ReportMetric(100*(quick(with)/quick(without)-1), "%more")
		})
	}
}
