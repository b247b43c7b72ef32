// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/crau-otel/crau-otel/test/harness"
)

// opensslServer returns a function that makes a command of `openssl s_server` with additional arguments. If sid is set,
// the command runs the OpenSSL of Debian sid.
func opensslServer(sid bool, args ...string) func(*stage, string) *exec.Cmd {
	return func(s *stage, port string) *exec.Cmd {
		cert, key := s.cert, s.key
		if sid {
			cert, key = "/mnt/cert", "/mnt/key"
		}
		return s.openssl(sid, append([]string{"s_server", "-accept", "127.0.0.1:" + port, "-cert", cert, "-key", key}, args...)...)
	}
}

// opensslClient returns a function that makes a command of `openssl s_client` with additional arguments. The argument
// SESSION is replaced by the path of a file whose name contains session. If sid is set, the command runs the OpenSSL of
// Debian sid.
func opensslClient(sid bool, session string, args ...string) func(*stage, string) *exec.Cmd {
	return func(s *stage, port string) *exec.Cmd {
		dir := s.dir
		if sid {
			dir = "/mnt"
		}
		all := []string{"s_client", "-ign_eof", "-connect", "127.0.0.1:" + port} // tickets arrive with the answer
		for _, arg := range args {
			if arg == "SESSION" {
				arg = filepath.Join(dir, session)
			}
			all = append(all, arg)
		}
		cmd := s.openssl(sid, all...)
		cmd.Stdin = strings.NewReader(request)
		return cmd
	}
}

func (s *stage) openssl(sid bool, args ...string) *exec.Cmd {
	s.t.Helper()
	if sid {
		return s.inSid(append([]string{"openssl"}, args...)...)
	}
	return exec.Command(find(s.t, "openssl"), args...)
}

// Each kind of handshake becomes one tree per side, with the right outcome.
func TestWireKindsOfHandshakes(t *testing.T) {
	harness.RequireBPF(t)
	goServer := func(groups ...string) func(*stage, string) *exec.Cmd {
		return func(_ *stage, port string) *exec.Cmd { return peer("https", append([]string{port}, groups...)...) }
	}
	goClient := func(_ *stage, port string) *exec.Cmd {
		return peer("get", port, "X25519MLKEM768", "X25519", "CurveP256")
	}
	const offered = " [X25519MLKEM768 x25519 secp256r1] classical downgraded"
	newStage(t).perform([]couple{
		{
			name: "hybrid offered, classical chosen", server: goServer("X25519"), client: goClient,
			handshake: "1.3 TLS_AES_128_GCM_SHA256 x25519" + offered,
		},
		{
			name: "hybrid offered, classical chosen by a HelloRetryRequest", server: goServer("CurveP256"), client: goClient,
			handshake: "1.3 TLS_AES_128_GCM_SHA256 secp256r1" + offered + " hello_retry_request",
		},
		{
			name: "new client, old server", server: opensslServer(false, "-www", "-groups", "X25519"),
			client:    opensslClient(true, "", "-groups", "X25519MLKEM768:X25519"),
			handshake: "1.3 TLS_AES_256_GCM_SHA384 x25519 [X25519MLKEM768 x25519] classical downgraded hello_retry_request",
		},
		{
			name: "TLS 1.3 resumed with a new key exchange", server: opensslServer(false, "-www"),
			before:    opensslClient(false, "dhe", "-groups", "X25519", "-sess_out", "SESSION"),
			client:    opensslClient(false, "dhe", "-groups", "X25519", "-sess_in", "SESSION"),
			handshake: "1.3 TLS_AES_256_GCM_SHA384 x25519 [x25519] classical resumed",
		},
		{
			name: "TLS 1.3 resumed by the key alone", server: opensslServer(true, "-www", "-allow_no_dhe_kex", "-prefer_no_dhe_kex"),
			before:    opensslClient(true, "psk", "-groups", "X25519", "-allow_no_dhe_kex", "-sess_out", "SESSION"),
			client:    opensslClient(true, "psk", "-groups", "X25519", "-allow_no_dhe_kex", "-sess_in", "SESSION"),
			handshake: "1.3 TLS_AES_256_GCM_SHA384 [x25519] resumed",
		},
		{
			name: "TLS 1.2 resumed", server: opensslServer(false, "-www", "-tls1_2"),
			before:    opensslClient(false, "ticket", "-groups", "X25519:P-256", "-sess_out", "SESSION"),
			client:    opensslClient(false, "ticket", "-groups", "X25519:P-256", "-sess_in", "SESSION"),
			handshake: "1.2 TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 [x25519 secp256r1] resumed",
		},
		{
			name: "TLS 1.2 resumed by the session's number", server: opensslServer(false, "-www", "-tls1_2", "-no_ticket"),
			before:    opensslClient(false, "number", "-groups", "X25519:P-256", "-sess_out", "SESSION"),
			client:    opensslClient(false, "number", "-groups", "X25519:P-256", "-sess_in", "SESSION"),
			handshake: "1.2 TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 [x25519 secp256r1] resumed",
		},
		{ // OpenSSL treats a pre-shared key like a resumed session
			name: "TLS 1.3 with a key from elsewhere", server: opensslServer(false, "-www", "-psk", "0a0b0c0d"),
			client:    opensslClient(false, "", "-groups", "X25519", "-psk", "0a0b0c0d", "-ciphersuites", "TLS_AES_128_GCM_SHA256"),
			handshake: "1.3 TLS_AES_128_GCM_SHA256 x25519 [x25519] classical",
		},
		{ // no public-key operation at all
			name:      "TLS 1.2 with a key from elsewhere",
			server:    opensslServer(false, "-www", "-tls1_2", "-psk", "0a0b0c0d", "-cipher", "PSK-AES128-GCM-SHA256"),
			client:    opensslClient(false, "", "-groups", "X25519", "-psk", "0a0b0c0d", "-tls1_2", "-cipher", "PSK-AES128-GCM-SHA256"),
			handshake: "1.2 TLS_PSK_WITH_AES_128_GCM_SHA256",
		},
		{
			name:      "TLS 1.2, anonymous",
			server:    opensslServer(false, "-www", "-tls1_2", "-cipher", "aNULL:@SECLEVEL=0"),
			client:    opensslClient(false, "", "-groups", "X25519", "-tls1_2", "-cipher", "AECDH-AES256-SHA:@SECLEVEL=0"),
			handshake: "1.2 TLS_ECDH_anon_WITH_AES_256_CBC_SHA x25519 [x25519] classical",
		},
		{ // only the first handshake is visible, because the second one is encrypted
			name: "renegotiation", server: opensslServer(false, "-rev", "-tls1_2", "-client_renegotiation"),
			client: func(s *stage, port string) *exec.Cmd {
				return speaking("R\n", find(s.t, "openssl"), "s_client", "-connect", "127.0.0.1:"+port, "-groups", "X25519:P-256")
			},
			handshake: "1.2 TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 x25519 [x25519 secp256r1] classical ecdsa_secp256r1_sha256",
		},
	})
}
