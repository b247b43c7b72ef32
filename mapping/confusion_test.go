// SPDX-License-Identifier: Apache-2.0

package mapping

import "testing"

// The tests in this file are cases in which the differential test once failed, in their shortest form.

// The handshake of a session can get further pieces even if a root with the same id opens. It makes no difference
// whether the root's name arrives with its new_context or in a later event.
func TestNameThatArrivesLaterEndsNoSession(t *testing.T) {
	for _, late := range []bool{false, true} {
		f := newFeed(t, Config{})
		f.Enter(7)
		f.Begin(hs, none, name("tls::handshake_client"))
		if late {
			f.Open(hs, hs)
			f.Data(hs, name("app::thing"))
		} else {
			f.Open(hs, hs, name("app::thing"))
		}
		f.Enter(7)
		f.Begin(hs, none, name("tls::handshake_client"), w("tls::protocol_version", 0x0304))
		wantTrees(t, f.finish(), `
app::thing
`, `
tls::handshake [client] tls.protocol.version_id=772 tls.protocol.name=tls tls.protocol.version=1.3 tls.role=client crypto.context.name=tls::handshake_client crypto.handshake.joined=exact crypto.handshake.pieces=2
`)
	}
}

// If another thread continues a handshake, stray data on the thread that began the handshake is not added to it.
func TestHandshakeThatMovedGetsNoStrayData(t *testing.T) {
	f := newFeed(t, Config{})
	f.Enter(7)
	f.Begin(hs, none, name("tls::handshake_client"))
	f.TID++
	f.Enter(7)
	f.Begin(hs, none, name("tls::handshake_client"))
	f.TID--
	f.Data(99, w("app::stray", 1))
	f.finish()
	if len(f.trees) != 2 || attributeMap(f.trees[0].Spans[0].Attributes())["app.stray"] != "" {
		t.Errorf("%d trees: %v", len(f.trees), f.trees[0].Spans[0].Attributes())
	}
}

// A linked context without name and data is taken over by the next context that names itself as parent, but not if
// another context has opened below it. This holds even if a handshake that opened below it was moved to its own tree.
func TestLinkedContextThatHoldsSomethingStays(t *testing.T) {
	f := newFeed(t, Config{})
	f.Open(obj, 99) // obj is linked to a parent that is not open
	f.Begin(der, obj, name("pk::derive"), s("pk::algorithm", "X25519"))
	f.Enter(7)
	f.Begin(hs, obj, name("tls::handshake_client")) // belongs to a session, so it becomes a root
	f.Open(obj, obj, name("tls::handshake"))
	f.finish()
	for _, tree := range f.trees {
		if root := &tree.Spans[0]; root.Name == "tls::handshake" && len(tree.Spans) > 1 {
			t.Errorf("a handshake has the derivation:\n%s", treeText(t, tree.Spans))
		}
	}
	if len(f.trees) != 3 {
		t.Errorf("%d trees, want 3", len(f.trees))
	}
}

// rootOf maps the events that play emits, which must form one tree, and returns the attributes of its root.
func rootOf(t *testing.T, play func(f *feed)) map[string]string {
	t.Helper()
	f := newFeed(t, Config{})
	play(f)
	f.finish()
	if len(f.trees) != 1 {
		t.Fatalf("%d trees, want 1", len(f.trees))
	}
	return attributeMap(f.trees[0].Spans[0].Attributes())
}

// The order of operations does not matter. A classical operation makes the status of the root classical, but for a TLS
// 1.3 handshake only the negotiated key exchange decides.
func TestOrderOfOperationsDoesNotMatter(t *testing.T) {
	direct := func(f *feed, below uint64) { f.Begin(der, below, name("pk::derive"), s("pk::algorithm", "X25519")) }
	exchange := func(f *feed, below, group uint64) {
		f.Begin(kx, below, name("tls::key_exchange"), w("tls::group", group))
		f.Begin(gen, kx, name("pk::decapsulate"))
	}
	unknown := func(f *feed, below uint64) {
		f.Begin(kx, below, name("tls::key_exchange"))
		f.Begin(gen, kx, name("pk::decapsulate"))
	}
	for _, c := range []struct {
		root string
		play []func(f *feed, below uint64)
		want string
	}{
		{"app::thing", []func(*feed, uint64){direct, func(f *feed, b uint64) { exchange(f, b, 0x11ec) }}, "classical"},
		{"app::thing", []func(*feed, uint64){func(f *feed, b uint64) { exchange(f, b, 29) }, func(f *feed, b uint64) { exchange(f, b, 0x11ec) }}, "classical"},
		{"app::thing", []func(*feed, uint64){func(f *feed, b uint64) { exchange(f, b, 29) }, unknown}, "classical"},
		{"app::thing", []func(*feed, uint64){direct, unknown}, "classical"},
		{"tls::handshake_server", []func(*feed, uint64){direct, func(f *feed, b uint64) { exchange(f, b, 0x11ec) }}, "hybrid"},
		{"tls::handshake_server", []func(*feed, uint64){func(f *feed, b uint64) { exchange(f, b, 0x11ec) }, unknown}, "hybrid"},
	} {
		for _, reverse := range []bool{false, true} {
			attrs := rootOf(t, func(f *feed) {
				f.Begin(hs, none, name(c.root), w("tls::protocol_version", 0x0304))
				first, second := c.play[0], c.play[1]
				if reverse {
					first, second = second, first
				}
				first(f, hs)
				second(f, hs)
			})
			if got := attrs["crypto.pqc.key_exchange.status"]; got != c.want {
				t.Errorf("%s, reversed %v: %s, want %s: %v", c.root, reverse, got, c.want, attrs)
			}
		}
	}
}

// A handshake inside another one, as in a tunnel, changes neither the outer one's negotiated group nor its attribute
// crypto.pqc.downgraded.
func TestHandshakeInsideAHandshake(t *testing.T) {
	attrs := rootOf(t, func(f *feed) {
		f.Begin(hs, none, name("tls::handshake_client"), w("tls::protocol_version", 0x0304))
		f.Begin(kx, hs, name("tls::key_exchange"), w("tls::group", 0x11ec))
		f.Begin(gen, kx, name("pk::generate"))
		f.Begin(der, kx, name("pk::decapsulate"))
		f.Begin(obj, hs, name("tls::handshake_client"), w("tls::protocol_version", 0x0303))
		f.Begin(sig, obj, name("pk::derive"), s("pk::algorithm", "ECDH"))
	})
	if attrs["crypto.pqc.downgraded"] != "" || attrs["crypto.pqc.key_exchange.status"] != "classical" || attrs["tls.group.name"] != "X25519MLKEM768" {
		t.Errorf("the outer handshake is %v", attrs)
	}
	attrs = rootOf(t, func(f *feed) {
		f.Begin(kx, none, name("tls::key_exchange"), w("tls::group", 0x11ec))
		f.Begin(hs, kx, name("tls::handshake"))
		f.Begin(der, hs, name("pk::derive"))
	})
	if attrs["tls.key_exchange.negotiated"] != "false" || attrs["crypto.pqc.key_exchange.status"] != "" {
		t.Errorf("the outer key exchange is %v", attrs)
	}
}
