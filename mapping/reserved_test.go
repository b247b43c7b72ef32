// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"fmt"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"

	"github.com/crau-otel/crau-otel/mapping/schema"
	"github.com/crau-otel/crau-otel/tracer/event"
)

// spellings returns the event keys that become the given attribute if each :: is replaced by a dot.
func spellings(key string) []string {
	parts := strings.Split(key, ".")
	all := []string{parts[0]}
	for _, part := range parts[1:] {
		var longer []string
		for _, s := range all {
			longer = append(longer, s+"::"+part, s+"."+part)
		}
		all = longer
	}
	return all
}

// forge maps several trees, to each of whose contexts the pairs are added.
func forge(t *testing.T, pairs ...event.Pair) *feed {
	t.Helper()
	f := newFeed(t, Config{
		Library: func(uint32) []attribute.KeyValue { return Library{Name: "libtls.so", Trusted: false}.Attributes() },
	})
	with := func(own ...event.Pair) []event.Pair { return append(append([]event.Pair(nil), pairs...), own...) }
	f.Begin(hs, none, with(name("tls::handshake_client"), w("tls::protocol_version", 0x0301))...)
	f.Begin(kx, hs, with(name("tls::key_exchange"), w("tls::group", 23))...)
	f.Begin(gen, kx, with(name("pk::generate"), s("pk::algorithm", "EC"))...)
	f.Begin(der, kx, with(name("pk::derive"), s("pk::algorithm", "EC"))...)
	f.Begin(sig, hs, with(name("tls::verify"), w("tls::signature_algorithm", 0x0403))...)
	f.Begin(obj, none, with(name("ssh::handshake"), s("ssh::role", "server"))...)
	f.Begin(pks, none, with(name("app::thing"))...)
	f.finish()
	return f
}

// No spelling of an event key becomes an attribute that crau-otel defines, unless a table of the schema allows it.
func TestNoEventKeyBecomesAnAttributeOfOurs(t *testing.T) {
	keys := []string{"pk.x", "otel.status_code", "crypto.made.up", "process.made_up", ""}
	for _, a := range schema.Attributes() {
		keys = append(keys, string(a.Key))
	}
	for _, key := range keys {
		for _, emitted := range spellings(key) {
			k := schema.NewKey(emitted)
			if listed(emitted) || emitted == "pk::x" {
				continue
			}
			if !k.Reserved || k.Attribute != "crypto.emitted."+emitted {
				t.Errorf("%q becomes %q", emitted, k.Attribute)
			}
			f := forge(t, s(emitted, "forged"), w(emitted, 7), s("pk::x", "x"))
			for _, tree := range f.trees {
				for i := range tree.Spans {
					attrs := attributeMap(tree.Spans[i].Attributes())
					if got := attrs[key]; got == "forged" || got == "7" {
						t.Errorf("%q forged %s on %s", emitted, key, tree.Spans[i].Name)
					}
				}
			}
			if st := f.m.Stats(); st.ReservedKeys != 7 {
				t.Errorf("%q: %d reserved keys counted, want 7", emitted, st.ReservedKeys)
			}
		}
	}
}

func listed(emitted string) bool {
	for _, c := range schema.Contexts() {
		for _, key := range c.Keys {
			if key == emitted {
				return true
			}
		}
	}
	return false
}

// Keys that only package wire may report have no effect if a program reports them.
func TestNoProgramReportsWhatTheWireShows(t *testing.T) {
	f := newFeed(t, Config{})
	f.Open(hs, none, name("tls::handshake"), s("tls::role", "client"), w("tls::protocol_version", 0x0304), w("tls::resumed", 1),
		s("tls::alert_side", "server"), w("tls::alert", 40), w("tls::unanswered", 1), w("tls::retried", 1),
		w("tls::ech_offered", 1), event.Pair{Key: []byte("tls::offered_groups"), Type: event.Blob, Value: []byte("\x11\xec")})
	f.Open(kx, hs, name("tls::key_exchange"), w("tls::group", 23), w("tls::negotiated", 1), w("tls::prime_bits", 512))
	f.finish()
	root, exchange := &f.trees[0].Spans[0], &f.trees[0].Spans[1]
	wantAttrs(t, attributeMap(root.Attributes()), map[string]string{
		"tls.resumed": "", "tls.alert.side": "", "tls.alert.code": "", "error.type": "", "tls.hello_retry_request": "",
		"tls.ech.offered": "", "tls.groups.offered": "", "crypto.pqc.downgraded": "", "crypto.weak": "",
		"crypto.emitted.tls::resumed": "1",
	})
	wantAttrs(t, attributeMap(exchange.Attributes()), map[string]string{
		"tls.key_exchange.negotiated": "false", "tls.dh.prime_bits": "", "crypto.weak": "",
	})
	if got := root.Status.Description; got != "" {
		t.Errorf("the status is %q", got)
	}
	if st := f.m.Stats(); st.ReservedKeys != 1 {
		t.Errorf("%d reserved keys, want 1", st.ReservedKeys)
	}
	_, stats := mapAll(t, append(wireHandshake(0x11ec), onWire(event.ContextEnd, wireRoot, 0))...)
	if stats.ReservedKeys != 0 {
		t.Errorf("%d reserved keys from the wire, want none", stats.ReservedKeys)
	}
}

func TestReservedKeysKeepTheirValues(t *testing.T) {
	f := newFeed(t, Config{})
	f.Open(hs, none, name("tls::handshake"), s("service.name", "nginx"), s("crypto::pqc.status", "hybrid"),
		w("tls::group", 0x11ec), s("pk.x", "dot"), s("pk::x", "colons"))
	wantAttrs(t, rootAttributes(t, f), map[string]string{
		"crypto.emitted.service.name": "nginx", "crypto.emitted.crypto::pqc.status": "hybrid", "crypto.pqc.status": "",
		"crypto.emitted.tls::group": "4588", "tls.group.name": "", "crypto.emitted.pk.x": "dot", "pk.x": "colons",
	})
}

// A group or signature scheme that is added to a handshake context itself does not count as the negotiated one.
func TestHandshakeTakesItsGroupFromTheKeyExchange(t *testing.T) {
	f := newFeed(t, Config{})
	client(f, 23, 23)
	verify(f, 0x0403)
	f.Data(hs, w("tls::group", 0x11ec), w("tls::signature_algorithm", 0x0905))
	f.finish()
	wantAttrs(t, attributeMap(f.trees[0].Spans[0].Attributes()), map[string]string{
		"tls.group.name": "secp256r1", "tls.signature_scheme.name": "ecdsa_secp256r1_sha256",
	})
}

// Two spellings of a key replace each other's values. So do two copies of a key, which exist if there are too many keys
// to intern them all.
func TestKeysThatAreTheSameReplaceEachOther(t *testing.T) {
	f := newFeed(t, Config{})
	f.Open(hs, none, name("tls::handshake"), w("tls::ext::extended_master_secret", 1), w("tls::extended_master_secret", 0))
	for i := range 5000 {
		f.Open(obj, none, w(fmt.Sprint("app::filler", i), 1))
	}
	f.Open(kx, none, name("app::late"), w("app::new", 1), w("app::new", 2), w("app::\xff", 3), w(`app::\xff`, 4))
	f.finish()
	wantAttrs(t, attributeMap(f.trees[len(f.trees)-1].Spans[0].Attributes()), map[string]string{
		"app.new": "2", `app.\xff`: "4",
	})
}

func FuzzKeysOnce(f *testing.F) {
	f.Add("crypto.pqc.status", "tls::group", "pk::derive", uint64(23))
	f.Add("tls::role", "tls.role", "tls::handshake", uint64(1))
	f.Add("crypto::emitted::x", "crypto.emitted.x", "crypto::emitted", uint64(0))
	f.Add("a:::b", "a::.b", "", uint64(0))
	f.Fuzz(func(t *testing.T, one, other, context string, word uint64) {
		f := newFeed(t, Config{})
		for i, named := range []string{context, "tls::handshake", "tls::key_exchange", "pk::derive", "ssh::key_exchange"} {
			f.Open(hs+uint64(i), hs+uint64(i)-1, name(named), w(one, word), s(other, one), s(one, other), w(other, word))
		}
		f.finish()
	})
}
