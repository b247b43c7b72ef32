// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"fmt"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"

	"github.com/crau-otel/crau-otel/mapping/policy"
	"github.com/crau-otel/crau-otel/tracer/event"
)

// rootAttributes finishes the feed, which must have made one tree, and returns the attributes of the tree's root.
func rootAttributes(t *testing.T, f *feed) map[string]string {
	t.Helper()
	texts := f.finish()
	if len(f.trees) != 1 {
		t.Fatalf("%d trees, want 1:\n%s", len(f.trees), strings.Join(texts, "\n"))
	}
	return attributeMap(f.trees[0].Spans[0].Attributes())
}

func attributeMap(attrs []attribute.KeyValue) map[string]string {
	m := make(map[string]string)
	for _, a := range attrs {
		m[string(a.Key)] = a.Value.String()
	}
	return m
}

// wantAttrs checks the attributes in want. An empty value means that the attribute must be absent.
func wantAttrs(t *testing.T, got, want map[string]string) {
	t.Helper()
	for k, v := range want {
		if g, ok := got[k]; g != v || ok && v == "" {
			t.Errorf("%s is %q, want %q", k, g, v)
		}
	}
}

// client emits the handshake of a TLS 1.3 client that makes key shares of the groups in offers. The key exchange uses
// agreed; if that is 0, there is none.
func client(f *feed, agreed uint64, offers ...uint64) {
	f.Begin(hs, none, name("tls::handshake_client"))
	for _, g := range offers {
		f.Begin(kx, hs, name("tls::key_exchange"), w("tls::group", g))
		f.Begin(gen, kx, name("pk::generate"))
	}
	f.Data(hs, w("tls::protocol_version", 0x0304))
	if agreed != 0 {
		f.Begin(kx, hs, name("tls::key_exchange"), w("tls::group", agreed))
		f.Begin(der, kx, name("pk::derive"))
	}
}

func verify(f *feed, scheme uint64) {
	f.Begin(sig, hs, name("tls::verify"), w("tls::signature_algorithm", scheme))
	f.Begin(pks, sig, name("pk::verify"))
}

func TestNegotiatedKeyExchangeDecides(t *testing.T) {
	const hybrid, p256, x25519, mlkem1024, unknown = 0x11ec, 23, 29, 0x0202, 0x7777
	cases := []struct {
		what string
		emit func(f *feed)
		want map[string]string
	}{
		{"client offers hybrid and P-256, gets hybrid", func(f *feed) { client(f, hybrid, hybrid, p256); verify(f, 0x0403) }, map[string]string{
			"crypto.pqc.key_exchange.status": "hybrid", "crypto.pqc.downgraded": "", "tls.group.name": "X25519MLKEM768",
			"tls.groups.offered": `["X25519MLKEM768","secp256r1"]`, "tls.resumed": "", "tls.curve": "",
			"crypto.pqc.authentication.status": "classical", "tls.signature_scheme.name": "ecdsa_secp256r1_sha256",
		}},
		{"client offers hybrid and P-256, gets P-256", func(f *feed) { client(f, p256, hybrid, p256); verify(f, 0x0403) }, map[string]string{
			"crypto.pqc.key_exchange.status": "classical", "crypto.pqc.downgraded": "true", "tls.group.name": "secp256r1",
			"tls.curve": "secp256r1",
		}},
		{"client offers only classical groups", func(f *feed) { client(f, x25519, x25519, p256); verify(f, 0x0403) }, map[string]string{
			"crypto.pqc.key_exchange.status": "classical", "crypto.pqc.downgraded": "", "tls.group.name": "x25519",
		}},
		{"client with ML-KEM-1024 and ML-DSA-87", func(f *feed) { client(f, mlkem1024, mlkem1024); verify(f, 0x0906) }, map[string]string{
			"crypto.pqc.key_exchange.status": "post_quantum", "crypto.pqc.authentication.status": "post_quantum",
			"tls.signature_scheme.name": "mldsa87",
		}},
		{"client with an unknown group", func(f *feed) { client(f, unknown, unknown, hybrid); verify(f, 0x0403) }, map[string]string{
			"crypto.pqc.key_exchange.status": "unknown", "tls.group.id": "30583", "tls.group.name": "unknown (0x7777)",
			"crypto.pqc.downgraded": "",
		}},
		{"client uses a PSK alone", func(f *feed) { client(f, 0, hybrid, p256) }, map[string]string{
			"crypto.pqc.key_exchange.status": "", "crypto.pqc.downgraded": "", "tls.resumed": "", "tls.group.name": "",
			"crypto.pqc.authentication.status": "", "tls.groups.offered": `["X25519MLKEM768","secp256r1"]`,
		}},
		{"client uses a PSK with a key exchange", func(f *feed) { client(f, hybrid, hybrid) }, map[string]string{
			"crypto.pqc.key_exchange.status": "hybrid", "tls.resumed": "", "crypto.pqc.authentication.status": "",
		}},
		{"client offers hybrid, gets TLS 1.2", func(f *feed) {
			f.Begin(hs, none, name("tls::handshake_client"))
			f.Begin(kx, hs, name("tls::key_exchange"), w("tls::group", hybrid))
			f.Begin(gen, kx, name("pk::generate"))
			f.Data(hs, w("tls::protocol_version", 0x0303))
			verify(f, 0x0401)
			f.Begin(der, hs, name("pk::derive"), s("pk::algorithm", "ECDH"))
		}, map[string]string{
			"crypto.pqc.key_exchange.status": "classical", "crypto.pqc.downgraded": "true", "crypto.weak": "",
		}},
		{"server agrees on hybrid, with an empty key exchange before", func(f *feed) {
			f.Begin(hs, none, name("tls::handshake_server"), w("tls::protocol_version", 0x0304))
			f.Begin(kx, hs, name("tls::key_exchange"), w("tls::group", p256))
			f.Begin(kx, hs, name("tls::key_exchange"), w("tls::group", hybrid))
			f.Begin(gen, kx, name("pk::generate"))
			f.Begin(der, kx, name("pk::encapsulate"), s("pk::algorithm", "ML-KEM-768"))
			f.Begin(sig, hs, name("tls::sign"), w("tls::signature_algorithm", 0x0804))
		}, map[string]string{
			"crypto.pqc.key_exchange.status": "hybrid", "crypto.pqc.downgraded": "", "tls.role": "server", "tls.groups.offered": "",
			"tls.signature_scheme.name": "rsa_pss_rsae_sha256", "crypto.pqc.authentication.status": "classical",
		}},
		{"server agrees on P-256", func(f *feed) {
			f.Begin(hs, none, name("tls::handshake_server"), w("tls::protocol_version", 0x0304))
			f.Begin(kx, hs, name("tls::key_exchange"), w("tls::group", p256))
			f.Begin(gen, kx, name("pk::generate"))
			f.Begin(der, kx, name("pk::derive"))
			f.Begin(sig, hs, name("tls::sign"), w("tls::signature_algorithm", 0x0403))
		}, map[string]string{"crypto.pqc.key_exchange.status": "classical", "crypto.pqc.downgraded": ""}},
		{"TLS 1.2 with ECDHE", func(f *feed) {
			f.Begin(hs, none, name("tls::handshake_server"), w("tls::protocol_version", 0x0303))
			f.Begin(gen, hs, name("pk::generate"), s("pk::algorithm", "ECDH"))
			f.Begin(der, hs, name("pk::derive"), s("pk::algorithm", "ECDH"))
			f.Begin(sig, hs, name("tls::sign"), w("tls::signature_algorithm", 0x0201))
		}, map[string]string{
			"crypto.pqc.key_exchange.status": "classical", "tls.resumed": "", "crypto.weak": `["sha1_signature"]`,
		}},
		{"TLS 1.2 resumed, or with a PSK", func(f *feed) {
			f.Begin(hs, none, name("tls::handshake_server"), w("tls::protocol_version", 0x0303))
		}, map[string]string{"crypto.pqc.key_exchange.status": "", "tls.resumed": ""}},
		{"TLS 1.2 resumed or cut, with a cipher suite that has signatures", func(f *feed) {
			f.Begin(hs, none, name("tls::handshake_server"), w("tls::protocol_version", 0x0303), w("tls::ciphersuite", 0xc02f))
		}, map[string]string{"crypto.pqc.key_exchange.status": "", "tls.resumed": ""}},
		{"an unknown version", func(f *feed) {
			f.Begin(hs, none, name("tls::handshake_server"), w("tls::protocol_version", 0x7f1c))
		}, map[string]string{
			"tls.protocol.name": "", "tls.protocol.version": "unknown (0x7f1c)", "tls.protocol.version_id": "32540",
			"tls.resumed": "",
		}},
		{"TLS 1.0 with RC4", func(f *feed) {
			f.Begin(hs, none, name("tls::handshake"), s("tls::role", "client"), w("tls::protocol_version", 0x0301), w("tls::ciphersuite", 0x0005))
			f.Begin(der, hs, name("pk::encrypt"), s("pk::algorithm", "RSA"), w("pk::bits", 1024))
			verify(f, 0x0401)
		}, map[string]string{
			"crypto.weak": `["tls_below_1_2","rc4","rsa_below_2048"]`, "tls.cipher": "TLS_RSA_WITH_RC4_128_SHA",
			"tls.protocol.version": "1.0", "crypto.pqc.key_exchange.status": "classical",
		}},
		{"SSH with a hybrid key exchange", func(f *feed) {
			f.Begin(hs, none, name("ssh::handshake"), s("ssh::role", "client"))
			f.Begin(kx, hs, name("ssh::key_exchange"), s("ssh::kex_algorithm", "mlkem768x25519-sha256"))
			f.Begin(der, kx, name("pk::derive"), s("pk::algorithm", "X25519"))
			f.Begin(sig, hs, name("ssh::server_key"), s("ssh::key_algorithm", "ssh-ed25519"))
		}, map[string]string{
			"crypto.pqc.key_exchange.status": "hybrid", "crypto.pqc.authentication.status": "classical", "ssh.role": "client",
		}},
		{"SSH with weak ciphers, MACs and keys", func(f *feed) {
			f.Begin(hs, none, name("ssh::handshake"), s("ssh::role", "server"))
			f.Begin(kx, hs, name("ssh::key_exchange"), s("ssh::kex_algorithm", "diffie-hellman-group1-sha1"),
				s("ssh::c2s_cipher", "3des-cbc"), s("ssh::s2c_cipher", "arcfour128"), s("ssh::c2s_mac", "hmac-md5"),
				s("ssh::s2c_mac", "hmac-sha1-etm@openssh.com"))
			f.Begin(sig, hs, name("ssh::client_key"), s("ssh::key_algorithm", "rsa-sha2-256"), w("ssh::rsa_bits", 1024))
			f.Begin(sig, hs, name("ssh::server_key"), s("ssh::key_algorithm", "ssh-dss"))
		}, map[string]string{
			"crypto.weak": `["dh_below_2048","sha1_key_exchange","3des","ssh_cbc","md5_mac","rc4","sha1_mac","rsa_below_2048",` +
				`"sha1_signature","dsa_below_2048"]`,
		}},
		{"SSH with ciphers that need no MAC", func(f *feed) {
			f.Begin(hs, none, name("ssh::handshake"))
			f.Begin(kx, hs, name("ssh::key_exchange"), s("ssh::c2s_cipher", "aes128-gcm@openssh.com"), s("ssh::c2s_mac", "none"),
				s("ssh::s2c_cipher", "chacha20-poly1305@openssh.com"), s("ssh::s2c_mac", "hmac-sha1"))
		}, map[string]string{"crypto.weak": ""}},
		{"SSH with no MAC at all", func(f *feed) {
			f.Begin(hs, none, name("ssh::handshake"))
			f.Begin(kx, hs, name("ssh::key_exchange"), s("ssh::c2s_cipher", "aes128-ctr"), s("ssh::c2s_mac", "none"))
		}, map[string]string{"crypto.weak": `["null_mac"]`}},
		{"SSH with a host key that signs with SHA-1, as the wire shows it", func(f *feed) {
			f.Begin(hs, none, name("ssh::handshake"))
			f.Begin(kx, hs, name("ssh::key_exchange"), s("ssh::kex_algorithm", "mlkem768x25519-sha256"),
				s("ssh::key_algorithm", "ssh-rsa"))
		}, map[string]string{
			"crypto.pqc.key_exchange.status": "hybrid", "crypto.pqc.authentication.status": "classical",
			"crypto.weak": `["sha1_signature"]`,
		}},
		{"SSH with GSS-API, which needs no host key", func(f *feed) {
			f.Begin(hs, none, name("ssh::handshake"))
			f.Begin(kx, hs, name("ssh::key_exchange"), s("ssh::kex_algorithm", "gss-group16-sha512-toWM5Slw5Ew8Mqkay+al2g=="),
				s("ssh::key_algorithm", "ssh-rsa"))
		}, map[string]string{
			"crypto.pqc.key_exchange.status": "classical", "crypto.pqc.authentication.status": "", "crypto.weak": "",
		}},
		{"SSH with the host key that stands for none", func(f *feed) {
			f.Begin(hs, none, name("ssh::handshake"))
			f.Begin(kx, hs, name("ssh::key_exchange"), s("ssh::kex_algorithm", "curve25519-sha256"), s("ssh::key_algorithm", "null"))
		}, map[string]string{"crypto.pqc.key_exchange.status": "classical", "crypto.pqc.authentication.status": ""}},
		{"SSH with a group of its own", func(f *feed) {
			f.Begin(hs, none, name("ssh::handshake"))
			f.Begin(kx, hs, name("ssh::key_exchange"), s("ssh::kex_algorithm", "diffie-hellman-group-exchange-sha256"),
				s("ssh::kex_group", "modp1024"))
		}, map[string]string{"crypto.pqc.key_exchange.status": "classical", "crypto.weak": `["dh_below_2048"]`}},
		{"SSH with a certificate that is signed with SHA-1", func(f *feed) {
			f.Begin(hs, none, name("ssh::handshake"))
			f.Begin(sig, hs, name("ssh::server_key"), s("ssh::key_algorithm", "ssh-mldsa-65-cert-v01@openssh.com"),
				s("ssh::cert_signature_algorithm", "ssh-rsa"))
		}, map[string]string{"crypto.pqc.authentication.status": "classical", "crypto.weak": `["sha1_signature"]`}},
		{"SSH with the size of a key alone", func(f *feed) {
			f.Begin(hs, none, name("ssh::handshake"))
			f.Begin(sig, hs, name("ssh::client_key"), w("ssh::rsa_bits", 1024))
		}, map[string]string{"crypto.pqc.authentication.status": "classical", "crypto.weak": `["rsa_below_2048"]`}},
		{"SSH with no cipher at all", func(f *feed) {
			f.Begin(hs, none, name("ssh::handshake"))
			f.Begin(kx, hs, name("ssh::key_exchange"), s("ssh::c2s_cipher", "none"), s("ssh::s2c_cipher", "none"))
		}, map[string]string{"crypto.weak": `["null_cipher"]`}},
		{"a derivation alone, as OpenSSL reports it under TLS 1.2", func(f *feed) {
			f.Open(obj, obj, name("pk::derive"), s("pk::algorithm", "X25519"))
		}, map[string]string{
			"crypto.pqc.status": "classical", "crypto.pqc.downgraded": "", "tls.protocol.version": "", "tls.resumed": "",
		}},
		{"a lone signature", func(f *feed) {
			f.Begin(pks, none, name("pk::sign"), s("pk::algorithm", "RSA"), w("pk::bits", 1024), s("pk::hash", "SHA1"))
		}, map[string]string{
			"crypto.pqc.status": "classical", "crypto.pqc.authentication.status": "classical", "crypto.pqc.key_exchange.status": "",
			"crypto.weak": `["sha1_signature","rsa_below_2048"]`,
		}},
		{"a downgraded handshake inside another", func(f *feed) {
			f.Open(obj, none, name("tls::handshake"))
			f.Open(hs, obj, name("tls::handshake_client"), w("tls::protocol_version", 0x0304))
			f.Open(kx, hs, name("tls::key_exchange"), w("tls::group", hybrid))
			f.Open(gen, kx, name("pk::generate"))
			f.Open(kx, hs, name("tls::key_exchange"), w("tls::group", p256))
			f.Open(der, kx, name("pk::derive"))
		}, map[string]string{"crypto.pqc.key_exchange.status": "classical", "crypto.pqc.downgraded": "true"}},
		{"a handshake inside an application's context", func(f *feed) {
			f.Begin(obj, none, name("app::request"))
			f.Begin(hs, obj, name("tls::handshake_client"), w("tls::protocol_version", 0x0304))
			f.Begin(kx, hs, name("tls::key_exchange"), w("tls::group", p256))
			f.Begin(der, kx, name("pk::derive"))
		}, map[string]string{"crypto.pqc.key_exchange.status": "classical", "tls.group.name": ""}},
	}
	for _, c := range cases {
		t.Run(c.what, func(t *testing.T) {
			f := newFeed(t, Config{})
			c.emit(f)
			wantAttrs(t, rootAttributes(t, f), c.want)
		})
	}
}

// A resumption is never inferred from what a library reports, because no library reports resumptions. What a resumed
// handshake lacks is also missing if an external pre-shared key is used or the handshake ended early. Only package wire
// can report a resumption: see wire_test.go.
func TestResumptionIsNotGuessed(t *testing.T) {
	full := func(f *feed, role string, version uint64) {
		f.Open(hs, none, name("tls::handshake"), s("tls::role", role), w("tls::protocol_version", version))
		f.Open(sig, hs, name("tls::verify"), w("tls::signature_algorithm", 0x0403))
		f.m.Flush()
	}
	const kindNone, kindECDHE, kindPSK, kindGroup = -1, 0, 2, 100
	for what, more := range map[string][]event.Pair{
		"nothing":                               nil,
		"a cipher suite with signatures":        {w("tls::ciphersuite", 0xc02f)},
		"a cipher suite with a pre-shared key":  {w("tls::ciphersuite", 0x00a8)},
		"an anonymous cipher suite":             {w("tls::ciphersuite", 0xc018)},
		"a cipher suite with static RSA":        {w("tls::ciphersuite", 0x009c)},
		"a cipher suite of TLS 1.3":             {w("tls::ciphersuite", 0x1301)},
		"a claim that is not a library's":       {w("tls::resumed", 1)},
		"an extended master secret":             {w("tls::extended_master_secret", 1)},
		"an old key, and a key exchange by PSK": {w("tls::ext::extended_master_secret", 1)},
	} {
		for _, version := range []uint64{0x0301, 0x0303, 0x0304, 0xfefd, 0xfefc, 0x7f1c} {
			for _, role := range []string{"client", "server"} {
				for _, kind := range []int{kindNone, kindECDHE, kindPSK, kindGroup} {
					f := newFeed(t, Config{})
					full(f, role, version)
					f.Open(hs, none, append([]event.Pair{
						name("tls::handshake"), s("tls::role", role), w("tls::protocol_version", version),
					}, more...)...)
					switch kind {
					case kindECDHE, kindPSK:
						f.Open(kx, hs, name("tls::key_exchange"), w("tls::key_exchange_algorithm", uint64(kind)))
					case kindGroup:
						f.Open(kx, hs, name("tls::key_exchange"), w("tls::group", 23))
						f.Open(der, kx, name("pk::derive"))
					}
					f.finish()
					root := f.trees[len(f.trees)-1].Spans[0]
					if got := attributeMap(root.Attributes())["tls.resumed"]; got != "" {
						t.Errorf("%s of version %#x reports %s: tls.resumed is %s", role, version, what, got)
					}
				}
			}
		}
	}
}

// Only known versions have a protocol name. The key exchange of a known version before TLS 1.3 is classical, regardless
// of the group and algorithm that are reported.
func TestOnlyKnownVersionsHaveAProtocol(t *testing.T) {
	for id, want := range map[uint64]struct{ protocol, version, keyExchange, weak string }{
		0x0002:  {"ssl", "2", "classical", `["tls_below_1_2"]`},
		0x0300:  {"ssl", "3", "classical", `["tls_below_1_2"]`},
		0x0301:  {"tls", "1.0", "classical", `["tls_below_1_2"]`},
		0x0302:  {"tls", "1.1", "classical", `["tls_below_1_2"]`},
		0x0303:  {"tls", "1.2", "classical", ""},
		0x0304:  {"tls", "1.3", "hybrid", ""},
		0x0100:  {"dtls", "0.9", "classical", `["tls_below_1_2"]`},
		0xfeff:  {"dtls", "1.0", "classical", `["tls_below_1_2"]`},
		0xfefd:  {"dtls", "1.2", "classical", ""},
		0xfefc:  {"dtls", "1.3", "hybrid", ""},
		0x0000:  {"", "unknown (0x0000)", "hybrid", ""},
		0x0001:  {"", "unknown (0x0001)", "hybrid", ""},
		0x0305:  {"", "unknown (0x0305)", "hybrid", ""},
		0x0a0a:  {"", "unknown (0x0a0a)", "hybrid", ""}, // GREASE
		0x7f1c:  {"", "unknown (0x7f1c)", "hybrid", ""}, // a draft of TLS 1.3
		0xfafa:  {"", "unknown (0xfafa)", "hybrid", ""}, // GREASE
		0xfefe:  {"", "unknown (0xfefe)", "hybrid", ""}, // was never assigned
		0x10303: {"", "unknown (0x10303)", "hybrid", ""},
	} {
		f := newFeed(t, Config{})
		f.Open(hs, none, name("tls::handshake"), s("tls::role", "server"), w("tls::protocol_version", id))
		f.Open(kx, hs, name("tls::key_exchange"), w("tls::group", 0x11ec))
		f.Open(der, kx, name("pk::encapsulate"), s("pk::algorithm", "ML-KEM-768"))
		wantAttrs(t, rootAttributes(t, f), map[string]string{
			"tls.protocol.name": want.protocol, "tls.protocol.version": want.version, "crypto.weak": want.weak,
			"crypto.pqc.key_exchange.status": want.keyExchange, "tls.protocol.version_id": fmt.Sprint(id),
		})
	}
}

func TestOperationsOfHandshakesHaveTheirProtocol(t *testing.T) {
	const hybrid, p256 = 0x11ec, 23
	for _, c := range []struct {
		emit       func(f *feed)
		want       string
		downgraded bool
	}{
		{func(f *feed) { client(f, p256, hybrid, p256) }, "tls 1.3", true},
		{func(f *feed) { client(f, hybrid, hybrid, p256) }, "tls 1.3", false},
		{func(f *feed) { f.Open(hs, none, name("tls::handshake"), w("tls::protocol_version", 0xfefd)) }, "dtls 1.2", false},
		{func(f *feed) { f.Open(hs, none, name("tls::handshake"), w("tls::protocol_version", 0x7f1c)) }, " unknown", false},
		{func(f *feed) { f.Open(hs, none, name("tls::handshake"), w("tls::protocol_version", 1<<40)) }, " unknown", false},
		{func(f *feed) { f.Open(hs, none, name("tls::handshake")) }, " ", false},
		{func(f *feed) { f.Open(hs, none, name("ssh::handshake")) }, "ssh ", false},
	} {
		f := newFeed(t, Config{})
		c.emit(f)
		f.finish()
		op := f.trees[0].Operations[0]
		if got := op.ProtocolName + " " + op.ProtocolVersion; got != c.want || op.Downgraded != c.downgraded {
			t.Errorf("%q downgraded %v, want %q %v", got, op.Downgraded, c.want, c.downgraded)
		}
	}
}

// A program that invents values cannot create more than a few time series of a metric.
func TestOperationsHaveBoundedValues(t *testing.T) {
	f := newFeed(t, Config{})
	for i := range 3000 {
		made := fmt.Sprint("made-up-", i)
		f.Open(hs, none, name("tls::handshake"), s("tls::role", made), w("tls::protocol_version", uint64(0x8000+i)))
		f.Open(kx, hs, name("tls::key_exchange"), w("tls::group", uint64(0x7000+i)))
		f.Open(der, kx, name("pk::derive"), s("pk::algorithm", made))
		f.Open(sig, hs, name("tls::verify"), w("tls::signature_algorithm", uint64(0x7000+i)))
		f.Open(obj, none, name("ssh::handshake"), s("ssh::role", made))
		f.Open(kx, obj, name("ssh::key_exchange"), s("ssh::kex_algorithm", made))
		f.Open(sig, obj, name("ssh::client_key"), s("ssh::key_algorithm", made))
		f.m.Flush()
	}
	series := make(map[string]bool)
	for _, tree := range f.trees {
		for _, op := range tree.Operations {
			op.Duration = 0
			series[fmt.Sprintf("%+v", op)] = true
		}
	}
	if len(series) > 10 {
		t.Errorf("%d different operations", len(series))
	}
}

func TestExtendedMasterSecretAndStaticAreBooleans(t *testing.T) {
	f := newFeed(t, Config{})
	f.Begin(hs, none, name("tls::handshake"), w("tls::ext::extended_master_secret", 1))
	f.Begin(der, hs, name("pk::derive"), w("pk::static", 0))
	f.finish()
	for i, key := range []attribute.Key{"tls.extended_master_secret", "pk.static"} {
		set := attribute.NewSet(f.trees[0].Spans[i].Attributes()...)
		if v, ok := set.Value(key); !ok || v.Type() != attribute.BOOL || v.AsBool() != (i == 0) {
			t.Errorf("%s is %v", key, v)
		}
	}
}

func TestPolicyViolationsAreErrors(t *testing.T) {
	p, err := policy.New(policy.Config{Name: "hybrid-ok"})
	if err != nil {
		t.Fatal(err)
	}
	f := newFeed(t, Config{Rules: Rules{Policy: p}})
	client(f, 23, 0x11ec, 23)
	verify(f, 0x0403)
	attrs := rootAttributes(t, f)
	if !strings.Contains(attrs["crypto.policy.violations"], "hybrid-ok/") {
		t.Errorf("violations are %q", attrs["crypto.policy.violations"])
	}
	if st := f.trees[0].Spans[0].Status; st.Code.String() != "Error" || !strings.Contains(st.Description, "hybrid-ok/") {
		t.Errorf("status is %+v", st)
	}
	found := false
	for _, op := range f.trees[0].Operations {
		found = found || op.Handshake && len(op.Violations) > 0
	}
	if !found {
		t.Errorf("no violation among the operations %+v", f.trees[0].Operations)
	}

	f = newFeed(t, Config{Rules: Rules{Policy: p}})
	client(f, 0x11ec, 0x11ec, 23)
	if attrs := rootAttributes(t, f); attrs["crypto.policy.violations"] != "" {
		t.Errorf("a hybrid handshake violates %q", attrs["crypto.policy.violations"])
	}
}

func TestOperationsLeaveOutOffers(t *testing.T) {
	f := newFeed(t, Config{})
	client(f, 0x11ec, 0x11ec, 23)
	verify(f, 0x0403)
	f.finish()
	var got []string
	for _, op := range f.trees[0].Operations {
		got = append(got, strings.Join([]string{op.Executable, op.Name, op.Algorithm, op.Role, op.Status.String()}, " "))
	}
	want := []string{
		"prog tls::handshake  client hybrid",
		"prog tls::key_exchange X25519MLKEM768 client hybrid", "prog pk::derive  client ",
		"prog tls::verify ecdsa_secp256r1_sha256 client classical", "prog pk::verify  client ",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("operations:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestUserClassesFollowFromUIDs(t *testing.T) {
	for uid, want := range map[uint32]string{
		0: "root", 1: "system", 999: "system", 1000: "regular", 60000: "regular", 61184: "system", 65519: "system", 65534: "nobody",
		65535: "regular", 65536: "namespaced", 100000: "namespaced", 1<<32 - 1: "namespaced",
	} {
		f := newFeed(t, Config{})
		f.Event(event.Event{Kind: event.ProcessStart, Process: event.Process{Executable: "other", UID: uid}})
		f.Begin(hs, none, name("app::root"))
		f.Begin(kx, hs, name("app::inner"))
		f.finish()
		root, inner := attributeMap(f.trees[0].Spans[0].Attributes()), attributeMap(f.trees[0].Spans[1].Attributes())
		if root["crypto.process.user_class"] != want || inner["crypto.process.user_class"] != "" {
			t.Errorf("uid %d: %q, and below the root %q", uid, root["crypto.process.user_class"], inner["crypto.process.user_class"])
		}
	}
}

// If the kernel forgets a process and sends its ProcessStart again, the process keeps its state.
func TestRecordOfAKnownProcessComesAgain(t *testing.T) {
	described := 0
	f := newFeed(t, Config{Rules: Rules{Describe: func(uint32, event.Process) []attribute.KeyValue {
		described++
		return []attribute.KeyValue{attribute.Int("described", described)}
	}}})
	record := event.Event{Kind: event.ProcessStart, Process: event.Process{Executable: "prog", StartTime: 7}}
	f.Event(record)
	before := described
	f.Begin(hs, none, name("app::root"))
	f.Event(record)
	f.Begin(kx, hs, name("app::inner"))
	f.finish()
	if len(f.trees) != 1 || described != before {
		t.Errorf("%d trees, described %d times more", len(f.trees), described-before)
	}
}

func TestDescribedProcessesHaveTheirOwnResource(t *testing.T) {
	f := newFeed(t, Config{Rules: Rules{Describe: func(pid uint32, _ event.Process) []attribute.KeyValue {
		return []attribute.KeyValue{attribute.Int("process.pid", int(pid))}
	}}})
	f.Event(event.Event{Kind: event.ProcessStart, Process: event.Process{Executable: "prog", StartTime: 1}})
	f.Begin(hs, none, name("app::root"))
	f.PID++
	f.Event(event.Event{Kind: event.ProcessStart, Process: event.Process{Executable: "prog"}})
	f.Begin(hs, none, name("app::root"))
	f.finish()
	for i, want := range []int64{10, 11} {
		if v, _ := f.trees[i].Resource.Set().Value("process.pid"); v.AsInt64() != want {
			t.Errorf("process.pid is %v, want %d", v.String(), want)
		}
	}
}
