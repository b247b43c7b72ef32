// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"runtime"
	"testing"
	"time"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/config"
	"github.com/crau-otel/crau-otel/mapping"
	"github.com/crau-otel/crau-otel/test/harness"
	"github.com/crau-otel/crau-otel/tracer/event"
	"github.com/crau-otel/crau-otel/wire"
)

// BenchmarkConnections passes one side of TLS 1.3 handshakes, in three packets each, through an increasing number of
// the agent's stages. It is the counterpart of BenchmarkStages for connections.
func BenchmarkConnections(b *testing.B) {
	b.Run("decode", func(b *testing.B) { benchmarkConnections(b, func(*event.Event) {}) })
	for _, stage := range []struct {
		name string
		take func(*pipeline) func(mapping.Tree)
	}{
		{"map", func(*pipeline) func(mapping.Tree) { return func(mapping.Tree) {} }},
		{"metrics", func(p *pipeline) func(mapping.Tree) { return p.metrics.Record }},
		{"encode", func(p *pipeline) func(mapping.Tree) { return p.take }},
	} {
		b.Run(stage.name, func(b *testing.B) {
			p := newStages(b, config.DetailFull)
			mapper, err := mapping.New(mapping.Config{Wall: p.handler.clock.Wall, Whole: p.detail.Load().isWhole, Sink: stage.take(p)})
			if err != nil {
				b.Fatal(err)
			}
			mapper.Handle(&event.Event{Kind: event.ProcessStart, PID: 7, TID: 7, Process: event.Process{Executable: "bench"}})
			benchmarkConnections(b, mapper.Handle)
		})
	}
}

func benchmarkConnections(b *testing.B, handle func(*event.Event)) {
	b.Helper()
	sensor, err := wire.New(wire.Config{Emit: handle})
	if err != nil {
		b.Fatal(err)
	}
	const received, sent = event.Connected, event.Connected | event.Egress | event.Owned
	hello, answer, finished := harness.RecordedHello(), harness.RecordedAnswer(), []byte{20, 3, 3, 0, 1, 1, 23, 3, 3, 0, 53}
	answer = answer[:len(answer)-100] // the kernel does not pass on the body of the encrypted record
	p := event.Packet{Time: uint64(time.Minute), PID: 7, TID: 7, PeerSeq: 1}
	b.ReportAllocs()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before := cpuTime(b)
	for b.Loop() {
		p.Socket++
		p.Time += 1000
		p.Flags, p.Seq, p.StartSeq, p.Payload = sent|event.StartsTLS, 0, 0, hello
		sensor.Packet(&p)
		p.Flags, p.Seq, p.Payload = received|event.Last, 1, answer
		sensor.Packet(&p)
		p.Flags, p.Seq, p.Payload = sent|event.Last, uint32(len(hello)), finished
		sensor.Packet(&p)
	}
	b.ReportMetric(float64(cpuTime(b)-before)/float64(b.N), "cpu-ns/tree")
	if n := sensor.Stats(); n.Reported != p.Socket {
		b.Fatalf("%+v", n)
	}
}
