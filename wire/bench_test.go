// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"testing"

	"github.com/crau-otel/crau-otel/tracer/event"
)

// BenchmarkConnection decodes the client's side of a TLS 1.3 handshake in three packets and emits its events.
func BenchmarkConnection(b *testing.B) {
	hello, answer := clientHello(b), append(serverHello(29), 23, 3, 3, 2, 0)
	finished := []byte{20, 3, 3, 0, 1, 1, 23, 3, 3, 0, 53}
	events := 0
	s, err := New(Config{Emit: func(*event.Event) { events++ }})
	if err != nil {
		b.Fatal(err)
	}
	socket := uint64(0)
	b.ReportAllocs()
	for b.Loop() {
		socket++
		p := event.Packet{Time: 1, Socket: socket, PID: 7, TID: 7, PeerSeq: 1, Flags: sent | event.StartsTLS, Payload: hello}
		s.Packet(&p)
		p.Flags, p.Seq, p.Payload = received, 1, answer
		s.Packet(&p)
		p.Flags, p.Seq, p.Payload = sent|event.Last, uint32(len(hello)), finished
		s.Packet(&p)
	}
	if n := s.Stats(); n.Reported != socket || events != 5*int(socket) {
		b.Fatalf("%+v, %d events", n, events)
	}
}
