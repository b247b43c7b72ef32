// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"testing"

	"github.com/crau-otel/crau-otel/tracer/event"
)

// FuzzSensor passes packets to a sensor that the kernel never sends: with any flags, in any order, for few sockets and
// owners. For each packet, the input has one byte for its socket and owner, two for its flags, one for its distance
// from the previous packet, and one for its length.
func FuzzSensor(f *testing.F) {
	hello, answer := clientHello(f), serverHello(29)
	packet := func(flags event.PacketFlags, data []byte) (seed []byte) {
		for first := true; first || len(data) > 0; first = false {
			n := min(len(data), 255)
			seed = append(append(seed, 1, byte(flags>>8), byte(flags), 0, byte(n)), data[:n]...)
			data, flags = data[n:], flags&^event.StartsTLS
		}
		return seed
	}
	end := packet(event.Egress|event.Close|event.Last, nil)
	f.Add(append(append(packet(event.Egress|event.Owned|event.StartsTLS, hello), packet(0, answer)...), end...))
	f.Add(append(packet(event.Egress|event.Owned|event.StartsSSH, []byte("SSH-2.0-x\r\n")), packet(event.Reset|event.Close, nil)...))
	f.Add(append(packet(event.Early, answer), packet(event.StartsTLS, hello)...))
	f.Fuzz(func(t *testing.T, input []byte) {
		open := make(map[uint64]bool)
		s, err := New(Config{MaxConnections: 3, MaxBytes: 4096, Emit: func(ev *event.Event) {
			root := ev.Context>>60 == contextRoot>>60
			switch {
			case ev.Kind == event.NewContext && root:
				open[ev.Context] = true
			case !open[ev.Context&^(7<<60)|contextRoot]:
				t.Fatalf("an event of a context that is not open: %+v", ev)
			case ev.Kind == event.ContextEnd:
				delete(open, ev.Context)
			}
		}})
		if err != nil {
			t.Fatal(err)
		}
		var seq uint32
		for n := uint64(0); len(input) >= 5; n++ {
			size := min(int(input[4]), len(input)-5)
			flags := event.PacketFlags(input[1])<<8 | event.PacketFlags(input[2])
			seq += uint32(int8(input[3]))
			s.Packet(&event.Packet{
				Time: n, Socket: uint64(input[0] & 7), UID: uint32(input[0] >> 6), PID: 7, TID: 7, Seq: seq, StartSeq: seq, Flags: flags,
				Payload: input[5 : 5+size], Foreign: input[0]&32 != 0,
			})
			seq += uint32(size)
			input = input[5+size:]
			if len(s.connections) > 3 || s.bytes > 4096 {
				t.Fatalf("%d connections, %d bytes", len(s.connections), s.bytes)
			}
		}
		s.Flush()
		if len(open) > 0 || s.bytes != 0 || len(s.shares) > 0 || s.oldest.Len() > 0 {
			t.Fatalf("left: %d contexts, %d bytes, %d owners", len(open), s.bytes, len(s.shares))
		}
		n := s.Stats()
		if n.Connections != n.Reported+n.Unanswered+n.Malformed+n.TooLong+n.Evicted+n.Foreign {
			t.Fatalf("%+v", n)
		}
	})
}
