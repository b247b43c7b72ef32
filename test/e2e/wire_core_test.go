// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"os/exec"
	"testing"

	"github.com/crau-otel/crau-otel/test/harness"
)

// Handshakes are reported from connections, on both sides. The test needs no programs but the test binary, so that it
// also runs on other kernels in test/vm.
func TestWireShowsBothSidesOfHandshakes(t *testing.T) {
	harness.RequireBPF(t)
	server := func(groups ...string) func(*stage, string) *exec.Cmd {
		return func(_ *stage, port string) *exec.Cmd { return peer("https", append([]string{port}, groups...)...) }
	}
	client := func(_ *stage, port string) *exec.Cmd {
		return peer("get", port, "X25519MLKEM768", "X25519", "CurveP256")
	}
	const offered = " [X25519MLKEM768 x25519 secp256r1] "
	s := &stage{t: t}
	s.perform([]couple{
		{name: "a", server: server(), client: client, handshake: "1.3 TLS_AES_128_GCM_SHA256 X25519MLKEM768" + offered + "hybrid"},
		{
			name: "b", server: server("X25519"), client: client,
			handshake: "1.3 TLS_AES_128_GCM_SHA256 x25519" + offered + "classical downgraded",
		},
		{
			name: "c", server: server("CurveP256"), client: client,
			handshake: "1.3 TLS_AES_128_GCM_SHA256 secp256r1" + offered + "classical downgraded hello_retry_request",
		},
	})
}
