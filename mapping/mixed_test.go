// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"fmt"
	"testing"

	"go.opentelemetry.io/otel/attribute"

	"github.com/crau-otel/crau-otel/mapping/policy"
)

// The files of these tests. Only root can write libssl and libcrypto; anybody can write program and plugin.
const (
	libssl uint32 = iota + 1
	libcrypto
	program
	plugin
)

func newMixed(t *testing.T, cfg Config) *feed {
	t.Helper()
	cfg.Library = func(file uint32) []attribute.KeyValue {
		names := map[uint32]string{libssl: "libssl", libcrypto: "libcrypto", program: "program", plugin: "plugin"}
		return Library{Name: names[file], Path: "/" + names[file], Trusted: file <= libcrypto}.Attributes()
	}
	return newFeed(t, cfg)
}

func (f *feed) from(file uint32) *feed {
	f.File = file
	return f
}

// If a trusted library reports a handshake with TLS 1.0, the program that called the library cannot make it look better
// by adding another version, a role and a hybrid key exchange.
func TestProgramCannotImproveTheHandshakeOfALibrary(t *testing.T) {
	f := newMixed(t, Config{})
	f.from(libssl).Begin(hs, none, name("tls::handshake_client"), w("tls::protocol_version", 0x0301))
	f.from(program).Data(hs, w("tls::protocol_version", 0x0304), s("tls::role", "server"), s("name", "app::harmless"))
	f.Begin(kx, hs, name("tls::key_exchange"), w("tls::group", 0x11ec))
	f.Begin(gen, kx, name("pk::decapsulate"), s("pk::algorithm", "ML-KEM-768"))
	f.Begin(sig, hs, name("tls::verify"), w("tls::signature_algorithm", 0x0905))
	f.from(libssl).Begin(der, hs, name("pk::derive"), s("pk::algorithm", "ECDH"))
	f.Data(hs, w("tls::ciphersuite", 0xc013))
	attrs := rootAttributes(t, f)
	wantAttrs(t, attrs, map[string]string{
		"tls.protocol.version": "1.0", "tls.role": "client", "crypto.weak": `["tls_below_1_2"]`,
		"crypto.pqc.key_exchange.status": "classical", "crypto.pqc.authentication.status": "", "tls.group.name": "",
		"tls.signature_scheme.name": "", "tls.cipher": "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
		"crypto.foreign.tls::protocol_version": "772", "crypto.foreign.tls::role": "server",
		"crypto.foreign.name": "app::harmless", "crypto.context.foreign_libraries": `["/program"]`,
		"crypto.library.trusted": "true", "crypto.library.all_trusted": "false",
	})
	marked := 0
	for _, span := range f.trees[0].Spans[1:] {
		attrs := attributeMap(span.Attributes())
		if attrs["crypto.context.foreign"] == "true" {
			marked++
			if attrs["crypto.library.trusted"] != "false" {
				t.Errorf("%s is marked and trusted", span.Name)
			}
		}
	}
	if marked != 2 { // pk::decapsulate below the key exchange is not marked: its parent is of the same file
		t.Errorf("%d spans are marked, want the key exchange and the verification", marked)
	}
	if st := f.m.Stats(); st.ForeignPairs != 3 {
		t.Errorf("%d foreign pairs counted, want 3", st.ForeignPairs)
	}
}

// The contexts of a crypto library below those of a TLS library count as part of the handshake, in each way of linking
// the two.
func TestCryptoLibraryBelowATLSLibrary(t *testing.T) {
	for style, derive := range map[string]func(f *feed){
		"explicit parent": func(f *feed) {
			f.from(libcrypto).Begin(der, kx, name("pk::derive"), s("pk::algorithm", "X25519"))
		},
		"same id": func(f *feed) {
			f.from(libcrypto).Open(kx, kx, name("pk::derive"), s("pk::algorithm", "X25519"))
		},
		"link": func(f *feed) {
			f.from(libssl).Open(der, kx)
			f.from(libcrypto).Open(der, der, name("pk::derive"), s("pk::algorithm", "X25519"))
			f.Data(der, w("pk::bits", 255))
		},
	} {
		f := newMixed(t, Config{})
		f.from(libssl).Begin(hs, none, name("tls::handshake_client"), w("tls::protocol_version", 0x0304))
		f.Begin(kx, hs, name("tls::key_exchange"), w("tls::group", 29))
		derive(f)
		f.from(libssl).Data(kx, w("app::late", 1))
		attrs := rootAttributes(t, f)
		wantAttrs(t, attrs, map[string]string{
			"crypto.pqc.key_exchange.status": "classical", "tls.group.name": "x25519", "crypto.library.all_trusted": "true",
		})
		spans := f.trees[0].Spans
		if len(spans) != 3 || spans[2].Name != "pk::derive" || spans[2].ParentID != spans[1].SpanID {
			t.Fatalf("%s: %s", style, treeText(t, spans))
		}
		wantAttrs(t, attributeMap(spans[1].Attributes()), map[string]string{"app.late": "1", "tls.key_exchange.negotiated": "true"})
		wantAttrs(t, attributeMap(spans[2].Attributes()), map[string]string{
			"crypto.library.name": "libcrypto", "crypto.context.foreign": "", "pk.algorithm": "X25519",
		})
	}
}

// A trusted library's handshake inside a context of an untrusted program is trusted and has its own status, but the
// tree is not all trusted.
func TestHandshakeInsideAProgramsContext(t *testing.T) {
	f := newMixed(t, Config{})
	f.from(program).Begin(obj, none, name("app::request"))
	f.from(libssl).Begin(hs, obj, name("tls::handshake_client"), w("tls::protocol_version", 0x0303))
	f.Begin(der, hs, name("pk::derive"), s("pk::algorithm", "ECDH"))
	wantAttrs(t, rootAttributes(t, f), map[string]string{
		"crypto.pqc.key_exchange.status": "classical", "crypto.library.trusted": "false", "crypto.library.all_trusted": "false",
	})
	wantAttrs(t, attributeMap(f.trees[0].Spans[1].Attributes()), map[string]string{
		"crypto.pqc.key_exchange.status": "classical", "crypto.library.trusted": "true", "crypto.context.foreign": "",
	})
}

// An operation that a trusted file reports does not count as part of a hybrid that an untrusted file reports.
func TestUntrustedParentDoesNotImproveAnOperation(t *testing.T) {
	f := newMixed(t, Config{})
	f.from(program).Begin(kx, none, name("tls::key_exchange"), w("tls::group", 0x11ec))
	f.from(libcrypto).Begin(der, kx, name("pk::derive"), s("pk::algorithm", "X25519"))
	f.finish()
	wantAttrs(t, attributeMap(f.trees[0].Spans[1].Attributes()), map[string]string{
		"crypto.pqc.status": "classical", "crypto.pqc.part": "",
	})
}

// A file that opens a context with the id of another file's handshake neither ends that handshake nor gets its data.
func TestSameIDOfTwoFiles(t *testing.T) {
	f := newMixed(t, Config{})
	f.from(libssl).Begin(hs, none, name("tls::handshake_client"))
	f.from(program).Begin(hs, none, name("app::decoy"))
	f.from(libssl).Data(hs, w("tls::protocol_version", 0x0301))
	f.from(program).Data(hs, w("app::note", 1))
	f.finish()
	if len(f.trees) != 2 {
		t.Fatalf("%d trees, want 2", len(f.trees))
	}
	for _, tree := range f.trees {
		attrs := attributeMap(tree.Spans[0].Attributes())
		switch tree.Spans[0].Name {
		case "tls::handshake":
			wantAttrs(t, attrs, map[string]string{"crypto.weak": `["tls_below_1_2"]`, "app.note": "", "crypto.library.all_trusted": "true"})
		default:
			wantAttrs(t, attrs, map[string]string{"app.note": "1", "crypto.library.all_trusted": "false"})
		}
	}
}

// Pieces with the same session from different files are not joined.
func TestSessionsBelongToAFile(t *testing.T) {
	f := newMixed(t, Config{})
	f.from(libssl).Enter(7)
	f.Begin(hs, none, name("tls::handshake_client"), w("tls::protocol_version", 0x0301))
	f.from(program).Enter(7)
	f.Begin(hs, none, name("tls::handshake_client"), w("tls::protocol_version", 0x0304))
	f.from(libssl).Enter(7)
	f.Begin(hs, none, name("tls::handshake_client"), w("tls::ciphersuite", 0xc013))
	f.finish()
	if len(f.trees) != 2 {
		t.Fatalf("%d trees, want 2", len(f.trees))
	}
	for _, tree := range f.trees {
		attrs := attributeMap(tree.Spans[0].Attributes())
		if attrs["crypto.library.name"] == "libssl" {
			wantAttrs(t, attrs, map[string]string{
				"tls.protocol.version": "1.0", "crypto.handshake.pieces": "2", "tls.cipher": "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
			})
		}
	}
}

// Pairs that other files add do not count against a context's limit on pairs, and have a limit of their own.
func TestForeignDataAreBounded(t *testing.T) {
	f := newMixed(t, Config{})
	f.from(libssl).Begin(hs, none, name("tls::handshake"))
	for i := range 200 {
		f.from(program+uint32(i%2)).Data(hs, w(fmt.Sprint("app::filler", i), 1))
	}
	f.from(libssl)
	for i := range 127 {
		f.Data(hs, w(fmt.Sprint("app::own", i), 1))
	}
	f.Data(hs, w("tls::protocol_version", 0x0301))
	attrs := rootAttributes(t, f)
	wantAttrs(t, attrs, map[string]string{
		"tls.protocol.version": "1.0", "app.own126": "1", "crypto.context.foreign_libraries": `["/program","/plugin"]`,
	})
	if got := f.m.Stats().DroppedAttributes.Total(); got != 200-16 {
		t.Errorf("%d attributes dropped, want %d", got, 200-16)
	}
}

func TestForeignDataDoNotReachPolicies(t *testing.T) {
	p, err := policy.New(policy.Config{Name: "cnsa-2.0"})
	if err != nil {
		t.Fatal(err)
	}
	f := newMixed(t, Config{Rules: Rules{Policy: p}})
	f.from(libssl).Begin(hs, none, name("tls::handshake"), w("tls::protocol_version", 0x0303))
	f.from(program).Data(hs, w("tls::protocol_version", 0x0304))
	wantAttrs(t, rootAttributes(t, f), map[string]string{"crypto.policy.violations": `["cnsa-2.0/tls-version"]`})
}

// Contexts that were shed still count when the tree's attribute crypto.library.all_trusted is determined.
func TestTrustOfWhatWasShed(t *testing.T) {
	f := newMixed(t, Config{MaxTreeSpans: 4})
	f.from(libssl).Begin(hs, none, name("tls::handshake"))
	f.from(program).Begin(kx, hs, name("app::one"))
	f.from(libssl)
	for range 20 {
		f.Begin(sig, hs, name("tls::verify"))
	}
	f.finish()
	last := f.trees[len(f.trees)-1].Spans[0]
	if len(f.trees) < 3 || last.Name != "tls::handshake" {
		t.Fatalf("%d trees, the last one's root is %s", len(f.trees), last.Name)
	}
	wantAttrs(t, attributeMap(last.Attributes()), map[string]string{"crypto.library.all_trusted": "false"})
}
