// SPDX-License-Identifier: Apache-2.0

package harness

import "testing"

// SpansPerPair is the number of spans of one client's and one server's handshake that the sample program reports.
const SpansPerPair = 18

// ClientTree is the tree of a client's handshake that the sample program reports, as [Span.Text] formats it.
const ClientTree = `tls::handshake [client] crypto.pqc.authentication.status=classical crypto.pqc.key_exchange.status=hybrid tls.cipher=TLS_AES_256_GCM_SHA384 tls.cipher_suite.id=4866 tls.group.id=4588 tls.group.name=X25519MLKEM768 tls.groups.offered=[X25519MLKEM768 secp256r1] tls.protocol.name=tls tls.protocol.version=1.3 tls.protocol.version_id=772 tls.role=client tls.signature_scheme.id=1027 tls.signature_scheme.name=ecdsa_secp256r1_sha256
  tls::key_exchange crypto.pqc.status=hybrid tls.group.id=4588 tls.group.name=X25519MLKEM768 tls.key_exchange.negotiated=false
    pk::generate crypto.pqc.part=post_quantum crypto.pqc.status=hybrid pk.algorithm=ML-KEM-768
    pk::generate crypto.pqc.part=classical crypto.pqc.status=hybrid pk.algorithm=ECDH pk.bits=255 pk.curve=X25519
  tls::key_exchange crypto.pqc.status=classical tls.curve=secp256r1 tls.group.id=23 tls.group.name=secp256r1 tls.key_exchange.negotiated=false
    pk::generate crypto.pqc.status=classical pk.algorithm=ECDH pk.bits=256 pk.curve=SECP256R1
  tls::key_exchange crypto.pqc.status=hybrid tls.group.id=4588 tls.group.name=X25519MLKEM768 tls.key_exchange.negotiated=true
    pk::derive crypto.pqc.part=classical crypto.pqc.status=hybrid pk.algorithm=ECDH pk.bits=255 pk.curve=X25519
    pk::decapsulate crypto.pqc.part=post_quantum crypto.pqc.status=hybrid pk.algorithm=ML-KEM-768
  tls::verify crypto.pqc.status=classical tls.signature_scheme.id=1027 tls.signature_scheme.name=ecdsa_secp256r1_sha256
    pk::verify crypto.pqc.status=classical pk.algorithm=ECDSA pk.bits=256 pk.curve=SECP256R1 pk.hash=SHA256
`

// ServerTree is the tree of a server's handshake that the sample program reports, as [Span.Text] formats it.
const ServerTree = `tls::handshake [server] crypto.pqc.authentication.status=classical crypto.pqc.key_exchange.status=hybrid tls.cipher=TLS_AES_256_GCM_SHA384 tls.cipher_suite.id=4866 tls.group.id=4588 tls.group.name=X25519MLKEM768 tls.protocol.name=tls tls.protocol.version=1.3 tls.protocol.version_id=772 tls.role=server tls.signature_scheme.id=1027 tls.signature_scheme.name=ecdsa_secp256r1_sha256
  tls::key_exchange crypto.pqc.status=hybrid tls.group.id=4588 tls.group.name=X25519MLKEM768 tls.key_exchange.negotiated=true
    pk::generate crypto.pqc.part=classical crypto.pqc.status=hybrid pk.algorithm=ECDH pk.bits=255 pk.curve=X25519
    pk::derive crypto.pqc.part=classical crypto.pqc.status=hybrid pk.algorithm=ECDH pk.bits=255 pk.curve=X25519
    pk::encapsulate crypto.pqc.part=post_quantum crypto.pqc.status=hybrid pk.algorithm=ML-KEM-768
  tls::sign crypto.pqc.status=classical tls.signature_scheme.id=1027 tls.signature_scheme.name=ecdsa_secp256r1_sha256
    pk::sign crypto.pqc.status=classical pk.algorithm=ECDSA pk.bits=256 pk.curve=SECP256R1 pk.hash=SHA256
`

// CheckPairs checks that the spans are the trees of n client and n server handshakes of the sample program. name is the
// file name of the program, which may be a copy.
func CheckPairs(t testing.TB, name string, spans []*Span, n int) {
	t.Helper()
	roots := Trees(t, spans)
	clients, different := 0, 0
	for _, root := range roots {
		want := ServerTree
		if root.Attributes["tls.role"] == "client" {
			want = ClientTree
			clients++
		}
		service := root.Resource["service.name"]
		if got := root.Text(); got != want || service != name {
			if different++; different == 1 {
				t.Errorf("a tree of %v that began at %v differs from that of %s\ngot:\n%swant:\n%s", service, root.Start, name, got, want)
			}
		}
	}
	if different > 1 {
		t.Errorf("%d of %d trees differ", different, len(roots))
	}
	if len(roots) != 2*n || clients != n {
		t.Errorf("%d trees, %d of clients; want %d of each side", len(roots), clients, n)
	}
}
