// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"encoding/binary"
	"log/slog"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/attach"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdkresource "go.opentelemetry.io/otel/sdk/resource"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/config"
	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/export"
	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/export/otlp"
	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/metrics"
	"github.com/crau-otel/crau-otel/limits"
	"github.com/crau-otel/crau-otel/mapping"
	"github.com/crau-otel/crau-otel/tracer"
	"github.com/crau-otel/crau-otel/tracer/event"
)

// sink is a connection to a receiver that accepts every export immediately.
type sink struct{}

func (sink) Invoke(context.Context, string, any, any, ...grpc.CallOption) error { return nil }
func (sink) Close() error                                                       { return nil }

// records returns the ring's records of one handshake of the sample program, without the records that describe its
// process.
func records(b *testing.B) (all [][]byte) {
	b.Helper()
	content, err := os.ReadFile("../../../../test/golden/testdata/sample-self.rec")
	if err != nil {
		b.Fatal(err)
	}
	for rest := content[len("crau-otel ring\n\x01")+4:]; len(rest) > 0; {
		n := 4 + binary.LittleEndian.Uint32(rest)
		var ev event.Event
		if err := tracer.Decode(rest[4:n], &ev); err != nil {
			b.Fatal(err)
		}
		if ev.Kind == event.NewContext || ev.Kind == event.Data {
			all = append(all, rest[4:n])
		}
		rest = rest[n:]
	}
	return all
}

// BenchmarkStages passes the records of a handshake through an increasing number of the agent's stages, without the
// ring and the network. The difference between the results for two successive stages is the cost of the second, per
// tree.
func BenchmarkStages(b *testing.B) {
	b.Run("decode", func(b *testing.B) { benchmarkStage(b, func(*event.Event) {}) })
	for name, take := range map[string]func(*pipeline) func(mapping.Tree){
		"map":     func(*pipeline) func(mapping.Tree) { return func(mapping.Tree) {} },
		"metrics": func(p *pipeline) func(mapping.Tree) { return p.metrics.Record },
		"encode":  func(p *pipeline) func(mapping.Tree) { return p.take },
	} {
		for _, detail := range []string{config.DetailFull, config.DetailHandshake} {
			b.Run(name+"/"+detail, func(b *testing.B) {
				p := newStages(b, detail)
				mapper, err := mapping.New(mapping.Config{Wall: p.handler.clock.Wall, Whole: p.detail.Load().isWhole, Sink: take(p)})
				if err != nil {
					b.Fatal(err)
				}
				benchmarkStage(b, mapper.Handle)
			})
		}
	}
}

func benchmarkStage(b *testing.B, handle func(*event.Event)) {
	b.Helper()
	all := records(b)
	var ev event.Event
	now := uint64(time.Minute)
	b.ReportAllocs()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before := cpuTime(b)
	for b.Loop() {
		for _, record := range all {
			now += 1000
			binary.LittleEndian.PutUint64(record, now)
			if err := tracer.Decode(record, &ev); err != nil {
				b.Fatal(err)
			}
			handle(&ev)
		}
	}
	b.ReportMetric(float64(cpuTime(b)-before)/float64(b.N), "cpu-ns/tree")
}

// cpuTime returns the CPU time of this thread. It depends less on other load of the machine than wall-clock time does.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		b.Fatal(err)
	}
	return time.Duration(t.Nano())
}

// newStages returns a pipeline that exports to a sink.
func newStages(b *testing.B, detail string) *pipeline {
	b.Helper()
	cfg := config.Default()
	cfg.Spans.Detail = detail
	exporter, err := otlp.New(otlp.Config{Connection: sink{}})
	if err != nil {
		b.Fatal(err)
	}
	p := &pipeline{handler: &handler{clock: tracer.NewClock(), libraries: attach.NewLibraries()}, log: slog.New(slog.DiscardHandler)}
	p.setKeep(cfg)
	p.queue, err = export.NewQueue(export.Config{Exporter: exporter})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := p.queue.Close(context.Background()); err != nil {
			b.Error(err)
		}
	})
	p.metrics, err = metrics.New(metrics.Config{
		Reader: sdkmetric.NewManualReader(), Resource: sdkresource.Empty(), MaxSeries: cfg.Metrics.MaxSeries,
		Health: func() metrics.Health { return metrics.Health{} }, Limits: limits.New(limits.Config{}),
	})
	if err != nil {
		b.Fatal(err)
	}
	return p
}
