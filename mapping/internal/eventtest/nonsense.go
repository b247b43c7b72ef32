// SPDX-License-Identifier: Apache-2.0

package eventtest

import (
	"math/rand/v2"

	"github.com/crau-otel/crau-otel/tracer/event"
)

// Nonsense takes 2000 random steps, most of which emit an event, with so few different ids that all ways of opening,
// joining, shedding and evicting contexts are combined. Some steps call tick instead. After each step, Nonsense calls
// after.
func Nonsense(seed uint64, src *Source, tick func(now uint64), after func()) {
	names := []string{
		"", "tls::handshake", "tls::handshake_client", "tls::handshake_server", "tls::key_exchange", "tls::verify",
		"pk::derive", "pk::encapsulate", "pk::generate", "app::thing",
	}
	r := rand.New(rand.NewPCG(seed, 1))
	ids := 2 + int(seed%6)
	id := func() uint64 { return uint64(r.IntN(ids)) }
	for range 2000 {
		src.PID = 10 + uint32(r.IntN(3))
		src.TID = 100*src.PID + uint32(r.IntN(2))
		if r.IntN(4) == 0 {
			src.File = uint32(r.IntN(3))
		}
		var pairs []event.Pair
		if n := names[r.IntN(len(names))]; n != "" {
			pairs = append(pairs, Name(n))
		}
		if r.IntN(2) == 0 {
			pairs = append(pairs, Word("tls::protocol_version", 0x0304), Word("tls::group", 0x11ec),
				String("pk::algorithm", "ECDH"))
		}
		switch r.IntN(12) {
		case 0:
			src.Enter(1 + id())
		case 1:
			src.Leave(1 + id())
		case 2, 3, 4:
			src.Data(id(), pairs...)
		case 5:
			self := id()
			src.Open(self, self, pairs...)
		case 6:
			src.Open(id(), event.NoParent, pairs...)
		case 7:
			tick(src.Now + uint64(r.IntN(3))*Second)
		case 8:
			if r.IntN(50) == 0 {
				src.Event(event.Event{Kind: event.ProcessExit})
			}
		default:
			src.Open(id(), id(), pairs...)
		}
		after()
	}
}
