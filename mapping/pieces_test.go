// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"fmt"
	"strings"
	"testing"

	"github.com/crau-otel/crau-otel/mapping/contexts"
	"github.com/crau-otel/crau-otel/tracer/event"
)

// pieces has functions that emit the first and second pieces of handshakes as GnuTLS 3.8.13 does with non-blocking
// sockets.
var pieces = map[string]func(f *feed){
	"client 1.3/1": func(f *feed) {
		f.Begin(hs, none, name("tls::handshake_client"))
		f.Begin(kx, hs, name("tls::key_exchange"), w("tls::group", 29))
		f.Begin(gen, kx, name("pk::generate"))
	},
	"client 1.3/2": func(f *feed) {
		f.Begin(hs, none, name("tls::handshake_client"))
		f.Data(hs, w("tls::protocol_version", 0x0304))
		f.Begin(kx, hs, name("tls::key_exchange"), w("tls::group", 29))
		f.Begin(der, kx, name("pk::derive"))
		verify(f, 0x0403)
	},
	"server 1.3/1": func(f *feed) {
		f.Begin(hs, none, name("tls::handshake_server"))
		f.Data(hs, w("tls::protocol_version", 0x0304))
		f.Begin(kx, hs, name("tls::key_exchange"), w("tls::group", 29))
		f.Begin(gen, kx, name("pk::generate"))
		f.Begin(der, kx, name("pk::derive"))
		f.Begin(sig, hs, name("tls::sign"), w("tls::signature_algorithm", 0x0403))
	},
	"server 1.3/2": func(f *feed) { f.Begin(hs, none, name("tls::handshake_server")) },
	"client 1.2/1": func(f *feed) { f.Begin(hs, none, name("tls::handshake_client")) },
	"client 1.2/2": func(f *feed) {
		f.Begin(hs, none, name("tls::handshake_client"), w("tls::protocol_version", 0x0303))
		verify(f, 0x0403)
		f.Begin(gen, hs, name("pk::generate"))
		f.Begin(der, hs, name("pk::derive"))
	},
	"server 1.2/1": func(f *feed) {
		f.Begin(hs, none, name("tls::handshake_server"), w("tls::protocol_version", 0x0303))
		f.Begin(gen, hs, name("pk::generate"))
		f.Begin(sig, hs, name("tls::sign"), w("tls::signature_algorithm", 0x0403))
	},
	"server 1.2/2": func(f *feed) {
		f.Begin(hs, none, name("tls::handshake_server"))
		f.Begin(der, hs, name("pk::derive"))
	},
}

// wantHandshakes checks that there are n trees, each with the span names in names, and joined from two pieces by the
// method by.
func wantHandshakes(t *testing.T, f *feed, n int, by string, names string) {
	t.Helper()
	texts := f.finish()
	if len(texts) != n {
		t.Fatalf("%d trees, want %d:\n%s", len(texts), n, strings.Join(texts, "\n"))
	}
	for i, tree := range f.trees {
		var got []string
		for _, span := range tree.Spans {
			got = append(got, span.Name)
		}
		attrs := attributeMap(tree.Spans[0].Attributes())
		if strings.Join(got, " ") != names || attrs["crypto.handshake.joined"] != by || attrs["crypto.handshake.pieces"] != "2" {
			t.Fatalf("tree %d, joined %q of %q pieces:\n%s", i, attrs["crypto.handshake.joined"], attrs["crypto.handshake.pieces"], texts[i])
		}
		if attrs["crypto.pqc.key_exchange.status"] != "classical" || attrs["tls.protocol.version"] == "" {
			t.Fatalf("tree %d:\n%s", i, texts[i])
		}
	}
}

var pieceNames = map[string]string{
	"client 1.3": "tls::handshake tls::key_exchange pk::generate tls::key_exchange pk::derive tls::verify pk::verify",
	"server 1.3": "tls::handshake tls::key_exchange pk::generate pk::derive tls::sign",
	"client 1.2": "tls::handshake tls::verify pk::verify pk::generate pk::derive",
	"server 1.2": "tls::handshake pk::generate tls::sign pk::derive",
}

func TestSessionsJoinPiecesExactly(t *testing.T) {
	for which, names := range pieceNames {
		t.Run(which, func(t *testing.T) {
			f := newFeed(t, Config{})
			// Two batches of ten interleaved sessions. The second batch has the same session addresses as the first.
			for range 2 {
				for piece := 1; piece <= 2; piece++ {
					for session := range uint64(10) {
						f.Enter(0x5000 + session)
						pieces[fmt.Sprintf("%s/%d", which, piece)](f)
					}
				}
				for session := range uint64(10) {
					f.Leave(0x5000 + session)
				}
			}
			wantHandshakes(t, f, 20, "exact", names)
			for _, tree := range f.trees {
				if got := attributeMap(tree.Spans[0].Attributes())["crypto.context.end"]; got != "session_closed" {
					t.Fatalf("the handshake ended by %s", got)
				}
			}
		})
	}
}

func TestPiecesOfASessionOnTwoThreads(t *testing.T) {
	f := newFeed(t, Config{})
	f.Enter(0x5000)
	pieces["client 1.3/1"](f)
	f.TID++
	f.Enter(0x5000)
	pieces["client 1.3/2"](f)
	wantHandshakes(t, f, 1, "exact", pieceNames["client 1.3"])
}

func TestRootOfPiecesSpansThemAll(t *testing.T) {
	f := newFeed(t, Config{})
	start := f.Now
	f.Enter(0x5000)
	pieces["client 1.3/1"](f)
	f.Now += 50 * ms
	f.Enter(0x5000)
	pieces["client 1.3/2"](f)
	end := f.Now
	f.finish()
	root := f.trees[0].Spans[0]
	if got := root.Start.UnixNano(); got != int64(start+2*us) {
		t.Errorf("starts %d ns after the first piece", got-int64(start+2*us))
	}
	if got := root.End.UnixNano(); got != int64(end) {
		t.Errorf("ends %d ns after the last piece", got-int64(end))
	}
}

func TestStaleParentDoesNotSwallowAHandshake(t *testing.T) {
	f := newFeed(t, Config{})
	f.Enter(0x5000)
	pieces["client 1.3/1"](f) // the handshake fails and leaves kx on the library's stack
	f.Enter(0x6000)
	f.Begin(hs, kx, name("tls::handshake_client"), w("tls::protocol_version", 0x0304))
	texts := f.finish()
	if len(texts) != 2 || strings.Contains(texts[0], "tls.protocol.version") {
		t.Errorf("%d trees:\n%s", len(texts), strings.Join(texts, "\n"))
	}
}

func TestPiecesAreInferredWithoutSessions(t *testing.T) {
	for which, names := range pieceNames {
		for _, interleaved := range []int{1, 10} {
			if which == "client 1.2" && interleaved > 1 {
				continue // the first pieces are empty, so they look like last pieces
			}
			t.Run(fmt.Sprintf("%s, %d at once", which, interleaved), func(t *testing.T) {
				f := newFeed(t, Config{})
				for piece := 1; piece <= 2; piece++ {
					for range interleaved {
						pieces[fmt.Sprintf("%s/%d", which, piece)](f)
					}
				}
				wantHandshakes(t, f, interleaved, "inferred", names)
			})
		}
	}
}

func TestBlockingHandshakesStayApart(t *testing.T) {
	f := newFeed(t, Config{})
	for range 200 {
		styles["explicit"](f)
	}
	if open := f.m.Stats().OpenTrees; open > contexts.MaxWaiting+1 {
		t.Errorf("%d trees are open, want at most %d that wait for pieces and the last", open, contexts.MaxWaiting)
	}
	if texts := f.finish(); len(texts) != 200 {
		t.Errorf("%d trees, want 200", len(texts))
	}
	for _, tree := range f.trees {
		if attrs := attributeMap(tree.Spans[0].Attributes()); attrs["crypto.handshake.joined"] != "" {
			t.Errorf("joined: %v", attrs)
		}
	}
}

func TestInferredPiecesJoinBeforeTheyAreIdle(t *testing.T) {
	f := newFeed(t, Config{})
	pieces["client 1.3/1"](f)
	f.Now += 100 * ms
	pieces["client 1.3/2"](f)
	f.m.Tick(f.Now + 1950*ms)
	if len(f.trees) != 0 {
		t.Fatalf("the first piece ended on its own:\n%s", treeText(t, f.trees[0].Spans))
	}
	f.m.Tick(f.Now + 2*sec)
	wantHandshakes(t, f, 1, "inferred", pieceNames["client 1.3"])
}

// A handshake that has no data yet looks like the last piece of an earlier one. If the earlier one becomes idle then,
// the two are not joined, because the new one still has events.
func TestHandshakeUnderWayIsNoPieceOfAnIdleOne(t *testing.T) {
	f := newFeed(t, Config{})
	pieces["server 1.3/1"](f)
	f.Now += 1990 * ms
	f.Begin(hs, none, name("tls::handshake_server"))
	f.m.Tick(f.Now + 20*ms)
	f.Data(hs, w("tls::protocol_version", 0x0304))
	f.m.Tick(f.Now + 40*ms)
	f.Begin(kx, hs, name("tls::key_exchange"), w("tls::group", 29))
	f.Begin(gen, kx, name("pk::generate"))
	f.Begin(der, kx, name("pk::derive"))
	f.Begin(sig, hs, name("tls::sign"), w("tls::signature_algorithm", 0x0403))
	f.m.Tick(f.Now + 2*sec)
	if open := f.m.Stats().OpenTrees; open != 0 || len(f.trees) != 2 {
		t.Errorf("%d trees have ended and %d are open, want 2 and none", len(f.trees), open)
	}
	for _, tree := range f.trees {
		if attrs := attributeMap(tree.Spans[0].Attributes()); attrs["crypto.handshake.joined"] != "" || len(tree.Spans) != 5 {
			t.Errorf("a tree of %d spans, joined: %v", len(tree.Spans), attrs)
		}
	}
}

// After more than eight leaked contexts, GnuTLS names parents and contexts that never existed. Their data and children
// are assigned to the handshake of the session that the thread works on.
func TestGarbageFromALeakyStackStaysInTheHandshake(t *testing.T) {
	f := newFeed(t, Config{})
	f.Enter(0x5000)
	f.Open(hs, 0x9, name("tls::handshake_server"))
	f.Data(0x7fff, w("tls::protocol_version", 0x0303))
	f.Enter(0x5000)
	f.Open(hs, 0, name("tls::handshake_server"))
	f.Open(pks, 0, name("pk::decrypt"), s("pk::algorithm", "RSA"))
	f.Data(0xbeef, w("pk::bits", 2048))
	f.Leave(0x5000)
	wantTrees(t, f.finish(), `
tls::handshake [server] tls.protocol.version_id=771 tls.protocol.name=tls tls.protocol.version=1.2 tls.role=server crypto.pqc.key_exchange.status=classical crypto.context.name=tls::handshake_server crypto.handshake.joined=exact crypto.handshake.pieces=2 crypto.context.parent=unknown
  pk::decrypt pk.algorithm=RSA pk.bits=2048 crypto.pqc.status=classical crypto.context.parent=inferred
`)
}

func TestSessionOfAProcessThatExits(t *testing.T) {
	f := newFeed(t, Config{})
	f.Enter(0x5000)
	pieces["server 1.3/1"](f)
	f.Event(event.Event{Kind: event.ProcessExit})
	f.Enter(0x5000)
	pieces["server 1.3/1"](f)
	if texts := f.finish(); len(texts) != 2 {
		t.Errorf("%d trees, want 2", len(texts))
	}
}

// A handshake that moved to another thread can outlast its first thread. When the handshake ends, another thread that
// has the first one's id by then keeps its contexts.
func TestEndOfAMovedHandshakeLeavesThreadsAlone(t *testing.T) {
	f := newFeed(t, Config{}) // trees end when they are idle for 2 s
	on := func(tid uint32) { f.TID = tid }
	later := func(seconds uint64) {
		f.Now += seconds * sec
		f.m.Tick(f.Now)
	}
	on(1)
	f.Data(obj, w("app::n", 1))
	f.Enter(7)
	f.Open(hs, none, name("tls::handshake_client"))
	later(1)
	on(2)
	f.Enter(7)
	f.Open(hs, none, name("tls::handshake_client"))
	later(1) // the first thread has no open contexts and is removed
	on(1)
	f.Open(kx, none, name("app::thing"))
	later(1) // the handshake ends by being idle
	on(3)
	f.Data(obj, w("app::n", 2))
	on(1)
	f.Open(der, kx, name("pk::derive"))
	wantTrees(t, f.finish(), `
crypto.context app.n=1 crypto.context.parent=missing
`, `
tls::handshake [client] tls.role=client crypto.context.name=tls::handshake_client crypto.handshake.joined=exact crypto.handshake.pieces=2
`, `
crypto.context app.n=2 crypto.context.parent=missing
`, `
app::thing
  pk::derive
`)
}
