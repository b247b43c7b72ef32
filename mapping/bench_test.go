// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"testing"
	"time"

	"github.com/crau-otel/crau-otel/tracer/event"
)

// handshakeEvents returns the eight events of a TLS 1.3 client handshake as GnuTLS emits them. They open seven
// contexts.
func handshakeEvents() []event.Event {
	open := func(ctx, parent uint64, pairs ...event.Pair) event.Event {
		return event.Event{Kind: event.NewContext, PID: 10, TID: 11, Context: ctx, Parent: parent, Pairs: pairs}
	}
	return []event.Event{
		open(hs, none, name("tls::handshake_client")),
		open(kx, hs, name("tls::key_exchange"), w("tls::group", 0x11ec)),
		open(gen, kx, name("pk::generate"), s("pk::algorithm", "ECDH (X25519)")),
		{
			Kind: event.Data, PID: 10, TID: 11, Context: hs,
			Pairs: []event.Pair{w("tls::protocol_version", 0x0304), w("tls::ciphersuite", 0x1302)},
		},
		open(kx, hs, name("tls::key_exchange"), w("tls::group", 0x11ec)),
		open(der, kx, name("pk::derive"), s("pk::algorithm", "ECDH (X25519)")),
		open(sig, hs, name("tls::verify"), w("tls::signature_algorithm", 0x0403)),
		open(pks, sig, name("pk::verify"), s("pk::algorithm", "EC/ECDSA"), s("pk::curve", "SECP256R1"), s("pk::hash", "SHA256")),
	}
}

// BenchmarkHandshake maps the events of a handshake to finished spans; export is not included. It reports the time per
// event as ns/event.
func BenchmarkHandshake(b *testing.B) {
	spans := 0
	m, err := New(Config{
		Wall: func(boot uint64) time.Time { return time.Unix(0, int64(boot)) },
		Sink: func(t Tree) { spans += len(t.Spans) },
	})
	if err != nil {
		b.Fatal(err)
	}
	m.Handle(&event.Event{Kind: event.ProcessStart, PID: 10, TID: 11, Process: event.Process{Executable: "bench"}})
	events := handshakeEvents()
	now := sec
	b.ReportAllocs()
	for b.Loop() {
		for i := range events {
			now += us
			ev := events[i]
			ev.Time = now
			m.Handle(&ev)
		}
	}
	b.StopTimer()
	m.Flush()
	if spans != 7*b.N {
		b.Fatalf("%d spans, want %d", spans, 7*b.N)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(8*b.N), "ns/event")
}
