// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"fmt"
	"strings"
	"testing"

	"github.com/crau-otel/crau-otel/mapping/schema"
	"github.com/crau-otel/crau-otel/tracer/event"
)

// The context ids of the tests. They stand for call sites or objects.
const (
	hs uint64 = 0x1000 + iota
	kx
	sig
	gen
	der
	pks
	obj
)

// styles has functions that emit the same TLS 1.3 client handshake, one for each way of reporting parents.
var styles = map[string]func(f *feed){
	"explicit": func(f *feed) {
		f.Begin(hs, none, name("tls::handshake_client"))
		f.Begin(kx, hs, name("tls::key_exchange"), w("tls::group", 0x11ec))
		f.Begin(gen, kx, name("pk::generate"), s("pk::algorithm", "ML-KEM-768"))
		f.Begin(kx, hs, name("tls::key_exchange"), w("tls::group", 23))
		f.Begin(gen, kx, name("pk::generate"), s("pk::algorithm", "ECDH"), s("pk::curve", "SECP256R1"))
		f.Data(hs, w("tls::protocol_version", 0x0304))
		f.Begin(kx, hs, name("tls::key_exchange"), w("tls::group", 0x11ec))
		f.Begin(der, kx, name("pk::derive"), s("pk::algorithm", "ECDH (X25519)"))
		f.Begin(sig, hs, name("tls::verify"), w("tls::signature_algorithm", 0x0403))
		f.Begin(pks, sig, name("pk::verify"), s("pk::algorithm", "EC/ECDSA"), w("pk::bits", 256))
	},
	"self": func(f *feed) {
		self := func(pairs ...event.Pair) { f.Open(obj, obj, pairs...) }
		self(name("tls::handshake_client"))
		self(name("tls::key_exchange"), w("tls::group", 0x11ec))
		self(name("pk::generate"), s("pk::algorithm", "ML-KEM-768"))
		self(name("tls::key_exchange"), w("tls::group", 23))
		self(name("pk::generate"), s("pk::algorithm", "ECDH"), s("pk::curve", "SECP256R1"))
		f.Data(obj, w("tls::protocol_version", 0x0304))
		self(name("tls::key_exchange"), w("tls::group", 0x11ec))
		self(name("pk::derive"), s("pk::algorithm", "ECDH (X25519)"))
		self(name("tls::verify"), w("tls::signature_algorithm", 0x0403))
		self(name("pk::verify"), s("pk::algorithm", "EC/ECDSA"), w("pk::bits", 256))
	},
	"self without data": func(f *feed) {
		self := func(pairs ...event.Pair) { f.Begin(obj, obj, pairs...) }
		self(name("tls::handshake_client"))
		self(name("tls::key_exchange"), w("tls::group", 0x11ec))
		self(name("pk::generate"), s("pk::algorithm", "ML-KEM-768"))
		self(name("tls::key_exchange"), w("tls::group", 23))
		self(name("pk::generate"), s("pk::algorithm", "ECDH"), s("pk::curve", "SECP256R1"))
		f.Data(obj, w("tls::protocol_version", 0x0304))
		self(name("tls::key_exchange"), w("tls::group", 0x11ec))
		self(name("pk::derive"), s("pk::algorithm", "ECDH (X25519)"))
		self(name("tls::verify"), w("tls::signature_algorithm", 0x0403))
		self(name("pk::verify"), s("pk::algorithm", "EC/ECDSA"), w("pk::bits", 256))
	},
	"link": func(f *feed) {
		next := obj
		link := func(parent uint64, pairs ...event.Pair) uint64 {
			next++
			f.Open(next, parent)
			f.Open(next, next, pairs...)
			return next
		}
		f.Open(obj, obj, name("tls::handshake_client"))
		k := link(obj, name("tls::key_exchange"), w("tls::group", 0x11ec))
		link(k, name("pk::generate"), s("pk::algorithm", "ML-KEM-768"))
		k = link(obj, name("tls::key_exchange"), w("tls::group", 23))
		link(k, name("pk::generate"), s("pk::algorithm", "ECDH"), s("pk::curve", "SECP256R1"))
		f.Data(obj, w("tls::protocol_version", 0x0304))
		k = link(obj, name("tls::key_exchange"), w("tls::group", 0x11ec))
		link(k, name("pk::derive"), s("pk::algorithm", "ECDH (X25519)"))
		v := link(obj, name("tls::verify"), w("tls::signature_algorithm", 0x0403))
		link(v, name("pk::verify"), s("pk::algorithm", "EC/ECDSA"), w("pk::bits", 256))
	},
}

const styledTree = `
tls::handshake [client] tls.protocol.version_id=772 tls.protocol.name=tls tls.protocol.version=1.3 tls.role=client crypto.pqc.key_exchange.status=hybrid crypto.pqc.authentication.status=classical tls.group.id=4588 tls.group.name=X25519MLKEM768 tls.groups.offered=["X25519MLKEM768","secp256r1"] tls.signature_scheme.id=1027 tls.signature_scheme.name=ecdsa_secp256r1_sha256 crypto.context.name=tls::handshake_client
  tls::key_exchange tls.group.id=4588 tls.group.name=X25519MLKEM768 tls.key_exchange.negotiated=false crypto.pqc.status=hybrid
    pk::generate pk.algorithm=ML-KEM-768 crypto.pqc.status=hybrid crypto.pqc.part=post_quantum
  tls::key_exchange tls.group.id=23 tls.group.name=secp256r1 tls.curve=secp256r1 tls.key_exchange.negotiated=false crypto.pqc.status=classical
    pk::generate pk.algorithm=ECDH pk.curve=SECP256R1 crypto.pqc.status=classical
  tls::key_exchange tls.group.id=4588 tls.group.name=X25519MLKEM768 tls.key_exchange.negotiated=true crypto.pqc.status=hybrid
    pk::derive pk.algorithm=ECDH (X25519) crypto.pqc.status=hybrid crypto.pqc.part=classical
  tls::verify tls.signature_scheme.id=1027 tls.signature_scheme.name=ecdsa_secp256r1_sha256 crypto.pqc.status=classical
    pk::verify pk.algorithm=EC/ECDSA pk.bits=256 crypto.pqc.status=classical
`

func TestStylesGiveTheSameTree(t *testing.T) {
	for style, emit := range styles {
		t.Run(style, func(t *testing.T) {
			f := newFeed(t, Config{})
			emit(f)
			wantTrees(t, f.finish(), styledTree)
		})
	}
}

func TestEveryStyleGivesTheSameTreesAgain(t *testing.T) {
	for style, emit := range styles {
		t.Run(style, func(t *testing.T) {
			f := newFeed(t, Config{})
			for range 3 {
				emit(f)
			}
			wantTrees(t, f.finish(), styledTree, styledTree, styledTree)
		})
	}
}

func TestExplicitLinkWinsOverSchema(t *testing.T) {
	f := newFeed(t, Config{})
	f.Begin(hs, none, name("app::request"))
	f.Open(obj, hs)
	f.Open(obj, obj, name("tls::handshake"), s("tls::role", "server"))
	f.Open(obj, obj, name("tls::sign"))
	wantTrees(t, f.finish(), `
app::request
  tls::handshake [server] tls.role=server
    tls::sign
`)
}

func TestKeyGoesToTheContextWhoseSchemaHasIt(t *testing.T) {
	f := newFeed(t, Config{})
	f.Open(obj, obj, name("tls::handshake"))
	f.Open(obj, obj, name("tls::key_exchange"))
	f.Data(obj, w("tls::protocol_version", 0x0303), w("tls::group", 23), w("app::note", 7))
	wantTrees(t, f.finish(), `
tls::handshake tls.protocol.version_id=771 tls.protocol.name=tls tls.protocol.version=1.2
  tls::key_exchange tls.group.id=23 tls.group.name=secp256r1 tls.curve=secp256r1 app.note=7 tls.key_exchange.negotiated=false crypto.pqc.status=classical
`)
}

func TestReusedContextIsANewGeneration(t *testing.T) {
	f := newFeed(t, Config{})
	f.Begin(hs, none, name("app::outer"))
	for i := range uint64(3) {
		f.Begin(kx, hs, name("app::inner"), w("app::i", i))
		f.Begin(gen, kx, name("app::leaf"), w("app::i", i))
	}
	f.Data(hs, w("app::last", 1))
	wantTrees(t, f.finish(), `
app::outer app.last=1
  app::inner app.i=0
    app::leaf app.i=0
  app::inner app.i=1
    app::leaf app.i=1
  app::inner app.i=2
    app::leaf app.i=2
`)
}

func TestThreadsDoNotMix(t *testing.T) {
	f := newFeed(t, Config{})
	for _, tid := range []uint32{11, 12} {
		f.TID = tid
		f.Begin(hs, none, name("app::outer"), w("app::thread", uint64(tid)))
	}
	for _, tid := range []uint32{11, 12} {
		f.TID = tid
		f.Begin(kx, hs, name("app::inner"), w("app::thread", uint64(tid)))
	}
	wantTrees(t, f.finish(), "app::outer app.thread=11\n  app::inner app.thread=11\n",
		"app::outer app.thread=12\n  app::inner app.thread=12\n")
}

func TestParentsThatMakeNoSense(t *testing.T) {
	f := newFeed(t, Config{})
	f.Begin(hs, 0xdead, name("app::unknown_parent"))
	f.Begin(kx, 0, name("app::zero_parent"))
	f.Data(0xbeef, w("app::orphan", 1))
	// A cycle: b opens below a, then a opens again below b.
	f.Begin(gen, none, name("app::a"))
	f.Begin(der, gen, name("app::b"))
	f.Begin(gen, der, name("app::a_again"))
	f.Data(der, w("app::late", 1))
	wantTrees(t, f.finish(),
		"app::a\n  app::b\n",
		"app::unknown_parent crypto.context.parent=unknown\n",
		"app::zero_parent\n",
		"crypto.context app.orphan=1 crypto.context.parent=missing\n",
		"app::a_again crypto.context.parent=cyclic\n",
		"crypto.context app.late=1 crypto.context.parent=missing\n")
}

func TestIdleTreesEnd(t *testing.T) {
	f := newFeed(t, Config{})
	f.Begin(hs, none, name("app::one"))
	f.m.Tick(f.Now + 2*sec - 1)
	if len(f.trees) != 0 {
		t.Fatal("the tree ended too early")
	}
	f.m.Tick(f.Now + 2*sec)
	if len(f.trees) != 1 {
		t.Fatal("the tree did not end after the idle timeout")
	}
	span := f.trees[0].Spans[0]
	if got := span.End.Sub(span.Start); got.Nanoseconds() != int64(us) {
		t.Errorf("the span lasts %s, want 1µs: from its opening to its last event", got)
	}
	f.finish()
}

func TestProcessExitEndsItsTrees(t *testing.T) {
	f := newFeed(t, Config{})
	f.Begin(hs, none, name("app::one"))
	f.TID++
	f.Begin(hs, none, name("app::two"))
	f.Event(event.Event{Kind: event.ProcessExit})
	if len(f.trees) != 2 || f.m.Stats().Processes != 0 {
		t.Errorf("%d trees and %d processes after the exit, want 2 and 0", len(f.trees), f.m.Stats().Processes)
	}
	f.finish()
}

func TestExecChangesTheResource(t *testing.T) {
	f := newFeed(t, Config{})
	f.Begin(hs, none, name("app::one"))
	f.Event(event.Event{Kind: event.ProcessStart, Process: event.Process{Executable: "other"}})
	f.Begin(hs, none, name("app::two"))
	f.finish()
	for i, want := range []string{"prog", "other"} {
		if got, _ := f.trees[i].Resource.Set().Value("service.name"); got.AsString() != want {
			t.Errorf("tree %d is of %s, want %s", i, got.AsString(), want)
		}
	}
}

func TestLimitsEvictAndCount(t *testing.T) {
	f := newFeed(t, Config{MaxOpenContexts: 10, MaxTreeSpans: 5})
	for i := range uint64(100) {
		f.Begin(0x100+i, none, name("app::root"))
	}
	if st := f.m.Stats(); st.OpenContexts > 10 || st.Evicted != 90 {
		t.Errorf("%+v, want at most 10 open contexts and 90 evicted trees", st)
	}
	f.finish()

	f = newFeed(t, Config{MaxTreeSpans: 5})
	f.Begin(hs, none, name("app::root"))
	for range 100 {
		f.Begin(kx, hs, name("app::child"))
	}
	if st := f.m.Stats(); st.OpenContexts > 5 || st.Evicted != 0 {
		t.Errorf("%+v, want at most 5 open contexts and no eviction: children that are over are shed", st)
	}
	f.finish()
	traces, spans := make(map[string]bool), 0
	for _, tree := range f.trees {
		for _, span := range tree.Spans {
			traces[span.TraceID.String()] = true
			spans++
		}
	}
	if len(traces) != 1 || spans != 101 {
		t.Errorf("%d traces with %d spans, want 1 with 101", len(traces), spans)
	}

	f = newFeed(t, Config{MaxProcesses: 3})
	for pid := range uint32(10) {
		f.PID = 100 + pid
		f.Begin(hs, none, name("app::root"))
	}
	if st := f.m.Stats(); st.Processes != 3 {
		t.Errorf("%d processes remembered, want 3", st.Processes)
	}
	f.finish()
}

// The memory for long values that never repeat is bounded, whether they are in many trees, in one tree or in one
// context.
func TestMemoryOfDataEvicts(t *testing.T) {
	const limit = 1 << 20
	for _, way := range []string{"roots", "one tree", "one context"} {
		f := newFeed(t, Config{MaxOpenBytes: limit})
		f.Begin(hs, none, name("app::root"))
		for i := range 20_000 {
			switch way {
			case "roots":
				f.Open(uint64(1000+i), none)
				f.Data(uint64(1000 + i))
			case "one tree":
				f.Open(kx, hs)
			}
			var pairs []event.Pair
			for j := range 16 {
				pairs = append(pairs, s(fmt.Sprintf("app::k%d", i*16%128+j), strings.Repeat("x", 240)+fmt.Sprint(i, j)))
			}
			switch way {
			case "roots":
				f.Data(uint64(1000+i), pairs...)
			case "one tree":
				f.Data(kx, pairs...)
			default:
				f.Data(hs, pairs...)
			}
			if f.m.Stats().OpenBytes > limit+16*1024 {
				t.Fatalf("%s: %d bytes, the limit is %d", way, f.m.Stats().OpenBytes, limit)
			}
		}
		if st := f.m.Stats(); (st.Evicted == 0) != (way == "one context") {
			t.Errorf("%s: %d evicted trees", way, st.Evicted)
		}
		f.finish()
		if f.m.Stats().OpenBytes != 0 {
			t.Errorf("%s: %d bytes in the end", way, f.m.Stats().OpenBytes)
		}
	}
}

func TestAttributeLimitIsCounted(t *testing.T) {
	f := newFeed(t, Config{})
	f.Begin(hs, none, name("app::root"))
	for i := range 130 {
		f.Data(hs, w(fmt.Sprintf("app::k%d", i), 1))
	}
	f.finish()
	if got := f.trees[0].Spans[0].DroppedAttributes; got != 2 {
		t.Errorf("%d dropped attributes, want 2", got)
	}
	if got := f.m.Stats().DroppedAttributes.Total(); got != 2 {
		t.Errorf("%d dropped attributes counted, want 2", got)
	}
}

func TestScopesAndKeysAreLeftOut(t *testing.T) {
	f := newFeed(t, Config{Rules: Rules{Scopes: []string{"tls"}}})
	styles["explicit"](f)
	f.Begin(obj, none, name("pk::sign"))
	got := f.finish()
	if len(got) != 1 || strings.Contains(got[0], "pk") || !strings.Contains(got[0], "crypto.pqc.key_exchange.status=hybrid") {
		t.Errorf("with scope tls: %s", got)
	}
	if hidden := f.m.Stats().Hidden; hidden != 2 {
		t.Errorf("%d hits hidden, want 2", hidden)
	}

	f = newFeed(t, Config{Rules: Rules{AllowKeys: []string{"app::*"}, DenyKeys: []string{"app::secret*"}}})
	f.Begin(hs, none, name("app::root"), w("app::ok", 1), w("app::secret_key", 2), w("other::k", 3))
	wantTrees(t, f.finish(), "app::root app.ok=1\n")
}

func TestContextID(t *testing.T) {
	id := func(f *feed) string {
		f.Begin(hs, none, name("app::root"))
		f.finish()
		for _, a := range f.trees[len(f.trees)-1].Spans[0].Attributes() {
			if a.Key == schema.AttrContextID {
				return a.Value.AsString()
			}
		}
		return ""
	}
	one, other := newFeed(t, Config{}), newFeed(t, Config{})
	first := id(one)
	if len(first) != 32 || strings.Trim(first, "0123456789abcdef") != "" {
		t.Errorf("context id is %q, want 32 hex digits", first)
	}
	if id(one) != first {
		t.Error("the same context has another id")
	}
	one.TID++
	if id(one) == first {
		t.Error("another thread's context has the same id")
	}
	if id(other) == first {
		t.Error("another run has the same id")
	}
}
