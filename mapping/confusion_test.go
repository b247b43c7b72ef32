// SPDX-License-Identifier: Apache-2.0

package mapping

import "testing"

// Cases that the differential test has found, in their shortest form.

// It makes no difference if a name arrives after its context: a handshake of a session may get further pieces, although
// a root with its id opens.
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

// A handshake that another thread continues gets no unrelated data from the thread that began it.
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

// A linked context below which something opened is not passed to the next context that names itself as parent, even if
// a handshake was removed from below it.
func TestLinkedContextThatHoldsSomethingStays(t *testing.T) {
	f := newFeed(t, Config{})
	f.Open(obj, 99) // a link to something unknown
	f.Begin(der, obj, name("pk::derive"), s("pk::algorithm", "X25519"))
	f.Enter(7)
	f.Begin(hs, obj, name("tls::handshake_client")) // of a session, so not a child of obj
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

// rootOf returns the attributes of a tree's root.
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

// The order of key exchanges and other operations does not matter: a classical one stays visible at the root, and the
// negotiated key exchange decides about a TLS 1.3 handshake.
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

// A handshake inside another one, as in a tunnel, changes neither the outer one's negotiated group nor whether it is
// downgraded.
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
