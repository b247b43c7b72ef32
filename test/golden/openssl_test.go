// SPDX-License-Identifier: Apache-2.0

package golden

import (
	"testing"

	"github.com/crau-otel/crau-otel/tracer/event"
)

// script builds the events of one process. Events are one microsecond apart.
type script struct {
	events []event.Event
	tid    uint32
}

const pid = 100

func newScript() *script {
	s := &script{tid: pid}
	s.add(event.Event{Kind: event.ProcessStart, Process: event.Process{Comm: "app", Executable: "app"}})
	return s
}

func (s *script) add(ev event.Event) {
	ev.Time = 1_000_000_000 + 1000*uint64(len(s.events))
	ev.PID, ev.TID = pid, s.tid
	s.events = append(s.events, ev)
}

// begin adds a new_context_with_data event whose parent is the context itself, as OpenSSL emits it.
func (s *script) begin(ctx uint64, name string, pairs ...event.Pair) {
	pairs = append([]event.Pair{text("name", name)}, pairs...)
	s.add(event.Event{Kind: event.NewContext, Context: ctx, Parent: ctx, Pairs: pairs})
}

// link adds a new_context event, which has no data.
func (s *script) link(ctx, parent uint64) {
	s.add(event.Event{Kind: event.NewContext, Context: ctx, Parent: parent})
}

func (s *script) data(ctx uint64, pairs ...event.Pair) {
	s.add(event.Event{Kind: event.Data, Context: ctx, Pairs: pairs})
}

func (s *script) exit() []event.Event {
	s.add(event.Event{Kind: event.ProcessExit})
	return s.events
}

func word(key string, value uint64) event.Pair {
	return event.Pair{Key: []byte(key), Type: event.Word, Word: value}
}

func text(key, value string) event.Pair {
	return event.Pair{Key: []byte(key), Type: event.String, Value: []byte(value)}
}

const (
	ssl   = 0x55d0_0000_1000 // address of an SSL object
	tls13 = 0x0304
	mlkem = 4588 // X25519MLKEM768
	p256  = 23
	ecdsa = 0x0403 // ecdsa_secp256r1_sha256
)

// client adds a client's TLS 1.3 handshake that offers two groups; the server chooses the first.
func (s *script) client(ctx uint64) {
	s.begin(ctx, "tls::handshake", text("tls::role", "client"))
	s.begin(ctx, "tls::key_exchange", word("tls::group", mlkem))
	s.begin(ctx, "pk::generate", text("pk::algorithm", "X25519MLKEM768"))
	s.begin(ctx, "tls::key_exchange", word("tls::group", p256))
	s.begin(ctx, "pk::generate", text("pk::algorithm", "EC"), text("pk::group", "P-256"), word("pk::bits", 256))
	s.data(ctx, word("tls::protocol_version", tls13), word("tls::ciphersuite", 0x1301))
	s.begin(ctx, "tls::key_exchange", word("tls::group", mlkem))
	s.begin(ctx, "pk::decapsulate", text("pk::algorithm", "X25519MLKEM768"))
	s.begin(ctx, "tls::verify", word("tls::signature_algorithm", ecdsa))
	s.begin(ctx, "pk::verify", text("pk::algorithm", "EC"), text("pk::group", "P-256"), word("pk::bits", 256), text("pk::hash", "SHA2-256"))
}

// server adds a server's TLS 1.3 handshake that chooses P-256.
func (s *script) server(ctx uint64) {
	s.begin(ctx, "tls::handshake", text("tls::role", "server"), word("tls::protocol_version", tls13))
	s.begin(ctx, "tls::key_exchange", word("tls::group", p256))
	s.begin(ctx, "pk::generate", text("pk::algorithm", "EC"), text("pk::group", "P-256"), word("pk::bits", 256))
	s.begin(ctx, "pk::derive", text("pk::algorithm", "ECDH"), word("pk::static", 0))
	s.begin(ctx, "tls::sign", word("tls::signature_algorithm", 0x0804))
	s.begin(ctx, "pk::sign", text("pk::algorithm", "RSA-PSS"), word("pk::bits", 3072), text("pk::hash", "SHA2-256"))
	s.data(ctx, word("tls::ciphersuite", 0x1302))
}

// scripts are sequences of events that OpenSSL's probes, which are in development upstream, emit or could emit.
var scripts = map[string]func(s *script){
	// All contexts have the address of one SSL object. The hierarchy follows from the names.
	"openssl-self": func(s *script) {
		s.client(ssl)
		s.server(ssl + 0x1000)
	},

	// libcrypto uses addresses of its own objects. A new_context without data links each of these to the SSL object.
	"openssl-links": func(s *script) {
		kx, evp := uint64(ssl+0x100), uint64(ssl+0x200)
		s.begin(ssl, "tls::handshake", text("tls::role", "client"))
		s.link(kx, ssl)
		s.begin(kx, "tls::key_exchange", word("tls::group", mlkem))
		s.link(evp, kx)
		s.begin(evp, "pk::generate", text("pk::algorithm", "X25519MLKEM768"))
		s.data(ssl, word("tls::protocol_version", tls13), word("tls::ciphersuite", 0x1301))
		s.link(kx, ssl) // the same addresses are linked a second time
		s.begin(kx, "tls::key_exchange", word("tls::group", mlkem))
		s.link(evp, kx)
		s.begin(evp, "pk::decapsulate", text("pk::algorithm", "X25519MLKEM768"))
		s.begin(evp, "pk::derive", text("pk::algorithm", "X25519")) // the classical part of the hybrid group
		s.link(evp, ssl)
		s.begin(evp, "tls::verify", word("tls::signature_algorithm", ecdsa))
		s.begin(evp, "pk::verify", text("pk::algorithm", "EC"), word("pk::bits", 256), text("pk::hash", "SHA2-256"))
		s.begin(evp+0x10, "pk::sign", text("pk::algorithm", "ML-DSA-65")) // this object is not linked to any other
	},

	// The library reports data after the handshake: tickets, key updates, and data of the handshake that come late.
	"openssl-data-after-handshake": func(s *script) {
		s.client(ssl)
		s.data(ssl, text("tls::ticket", "new"))
		s.data(ssl, word("tls::extended_master_secret", 1)) // is the handshake's, although its children are open
		s.data(ssl, word("openssl::key_updates", 3), text("pk::hash", "SHA2-384"))
	},

	// One SSL object is used for two connections with SSL_clear between them. Then the object is freed, and a server's
	// object gets the same address.
	"openssl-two-handshakes": func(s *script) {
		s.client(ssl)
		s.client(ssl)
		s.server(ssl)
	},

	// Code that has no object uses a constant as the context. On each thread, the constant is a different context.
	"openssl-constant": func(s *script) {
		s.client(1)
		s.tid++
		s.server(1)
		s.begin(1, "pk::generate", text("pk::algorithm", "ML-KEM-768")) // becomes a child of the preceding handshake
		s.tid--
		s.begin(1, "pk::verify", text("pk::algorithm", "RSA"), word("pk::bits", 1024), text("pk::hash", "SHA1"))
		s.tid += 2
		s.begin(1, "pk::sign", text("pk::algorithm", "ML-DSA-44"))
		s.begin(1, "pk::sign", text("pk::algorithm", "ED25519"))
	},

	// OpenSSL reports only TLS 1.3 handshakes. With TLS 1.2, libcrypto's operations have no handshake as parent.
	"openssl-tls12": func(s *script) {
		s.begin(ssl, "pk::derive", text("pk::algorithm", "X25519"), word("pk::static", 0))
		s.begin(ssl+0x1000, "pk::derive", text("pk::algorithm", "ECDH"), text("pk::group", "P-256"), word("pk::bits", 256))
		s.begin(ssl+0x2000, "pk::derive", text("pk::algorithm", "DH"), word("pk::bits", 1024))
	},

	// The start of the first handshake is missing, as if crau-otel had been started in the middle of it.
	"openssl-late": func(s *script) {
		s.data(ssl, word("tls::protocol_version", tls13))
		s.begin(ssl, "tls::verify", word("tls::signature_algorithm", ecdsa))
		s.begin(ssl, "pk::verify", text("pk::algorithm", "EC"), word("pk::bits", 256))
		s.client(ssl)
	},

	// Parents are impossible: not open, in a cycle, or special values.
	"openssl-nonsense": func(s *script) {
		a, b := uint64(ssl), uint64(ssl+8)
		s.link(a, b) // b is not open
		s.link(b, a)
		s.link(a, b) // would be a cycle: a is an ancestor of b
		s.data(a, text("name", "app::a"))
		s.data(b, text("name", "app::b"))
		s.begin(0, "app::zero")
		s.begin(event.NoParent, "app::minus_one")
		s.data(b+8, text("app::orphan", "data of a context that was never opened"))
	},

	// An SSH handshake as a patched OpenSSH reports it.
	"openssh": func(s *script) {
		s.begin(ssl, "ssh::handshake", text("ssh::role", "client"), text("ssh::ident_string", "SSH-2.0-OpenSSH_10.0"))
		s.data(ssl, text("ssh::peer_ident_string", "SSH-2.0-OpenSSH_9.9"))
		s.begin(ssl, "ssh::key_exchange", text("ssh::kex_algorithm", "mlkem768x25519-sha256"),
			text("ssh::key_algorithm", "ssh-ed25519"), text("ssh::c2s_cipher", "chacha20-poly1305@openssh.com"))
		s.begin(ssl, "pk::generate", text("pk::algorithm", "ML-KEM-768"))
		s.begin(ssl, "pk::decapsulate", text("pk::algorithm", "ML-KEM-768"))
		s.begin(ssl, "ssh::server_key", text("ssh::key_algorithm", "ssh-ed25519"))
		s.begin(ssl, "ssh::client_key", text("ssh::key_algorithm", "rsa-sha2-512"), word("ssh::rsa_bits", 2048))
	},
}

func TestOpenSSLScriptsGiveTheGoldenTrees(t *testing.T) {
	for name, write := range scripts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScript()
			write(s)
			compare(t, name, replay(t, s.exit()))
		})
	}
}
