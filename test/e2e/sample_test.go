// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/crau-otel/crau-otel/test/harness"
)

const clientTree = `
tls::handshake [client] crypto.pqc.authentication.status=classical crypto.pqc.key_exchange.status=hybrid tls.cipher=TLS_AES_256_GCM_SHA384 tls.cipher_suite.id=4866 tls.group.id=4588 tls.group.name=X25519MLKEM768 tls.groups.offered=[X25519MLKEM768 secp256r1] tls.protocol.name=tls tls.protocol.version=1.3 tls.protocol.version_id=772 tls.role=client tls.signature_scheme.id=1027 tls.signature_scheme.name=ecdsa_secp256r1_sha256
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

const serverTree = `
tls::handshake [server] crypto.pqc.authentication.status=classical crypto.pqc.key_exchange.status=hybrid tls.cipher=TLS_AES_256_GCM_SHA384 tls.cipher_suite.id=4866 tls.group.id=4588 tls.group.name=X25519MLKEM768 tls.protocol.name=tls tls.protocol.version=1.3 tls.protocol.version_id=772 tls.role=server tls.signature_scheme.id=1027 tls.signature_scheme.name=ecdsa_secp256r1_sha256
  tls::key_exchange crypto.pqc.status=hybrid tls.group.id=4588 tls.group.name=X25519MLKEM768 tls.key_exchange.negotiated=true
    pk::generate crypto.pqc.part=classical crypto.pqc.status=hybrid pk.algorithm=ECDH pk.bits=255 pk.curve=X25519
    pk::derive crypto.pqc.part=classical crypto.pqc.status=hybrid pk.algorithm=ECDH pk.bits=255 pk.curve=X25519
    pk::encapsulate crypto.pqc.part=post_quantum crypto.pqc.status=hybrid pk.algorithm=ML-KEM-768
  tls::sign crypto.pqc.status=classical tls.signature_scheme.id=1027 tls.signature_scheme.name=ecdsa_secp256r1_sha256
    pk::sign crypto.pqc.status=classical pk.algorithm=ECDSA pk.bits=256 pk.curve=SECP256R1 pk.hash=SHA256
`

// checkPairs checks that the spans are the trees of n client and n server handshakes of the sample program.
func checkPairs(t *testing.T, spans []*harness.Span, n int) {
	t.Helper()
	checkPairsOf(t, "sample", spans, n)
}

// checkPairsOf is checkPairs for a copy of the sample program under another name.
func checkPairsOf(t *testing.T, program string, spans []*harness.Span, n int) {
	t.Helper()
	roots := harness.Trees(t, spans)
	clients := 0
	for _, root := range roots {
		want := serverTree
		if root.Attributes["tls.role"] == "client" {
			want = clientTree
			clients++
		}
		if want = strings.TrimPrefix(want, "\n"); root.Text() != want {
			t.Errorf("tree differs\ngot:\n%swant:\n%s", root.Text(), want)
		}
		if service := root.Resource["service.name"]; service != program {
			t.Errorf("service.name is %v", service)
		}
		if t.Failed() {
			return
		}
	}
	if len(roots) != 2*n || clients != n {
		t.Errorf("%d trees, %d of clients; want %d of each side", len(roots), clients, n)
	}
}

func TestAllStylesArriveWholeOverOTLP(t *testing.T) {
	t.Parallel()
	for _, style := range []string{"explicit", "self", "link"} {
		t.Run(style, func(t *testing.T) {
			t.Parallel()
			r := harness.Receive(t, harness.ReceiverConfig{})
			sample := ownSample(t)
			a := startAgent(t, []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + r.Endpoint()}, "--library", sample)
			hits := harness.RunSample(t, sample, "--style", style, "--count", "3", "--rate", "50")
			a.Stop().CheckExact(t, hits)
			checkPairs(t, r.Spans(), 3)
		})
	}
}

// The context value is a call site, which threads, processes and repeated handshakes share.
func TestConcurrentHandshakesDoNotMix(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"--threads", "4"}, {"--forks", "4"}, {"--forks", "2", "--threads", "2"}} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			sample := ownSample(t)
			a := trace(t, sample)
			hits := harness.RunSample(t, sample, append(args, "--rate", "0", "--count", "400")...)
			a.Stop().CheckExact(t, hits)
			checkPairs(t, a.ConsoleSpans(), 400)
		})
	}
}

// It has a deadline: not parallel.
func TestFinishedTreeArrivesSoon(t *testing.T) {
	r := harness.Receive(t, harness.ReceiverConfig{})
	sample := ownSample(t)
	a := startAgent(t, []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + r.Endpoint()}, "--library", sample)
	program := harness.StartProgram(t, exec.Command(sample, "--count", "0", "--rate", "0.001"))
	defer harness.Finish(t, program)
	arrival := r.WaitSpans(18, 20*time.Second)
	last := time.Time{}
	for _, s := range r.Spans() {
		if s.End.After(last) {
			last = s.End
		}
		if s.Parent == "" && s.Attributes["crypto.context.end"] != "idle" {
			t.Errorf("the end was inferred by %v, want idle", s.Attributes["crypto.context.end"])
		}
	}
	if took := arrival.Sub(last); took > 3*time.Second {
		t.Errorf("the trees arrived %s after their last event, want at most 3 s", took)
	}
	a.Stop()
}

func TestConsoleDrawsTrees(t *testing.T) {
	t.Parallel()
	sample := ownSample(t)
	a := startAgent(t, nil, "--library", sample, "--exporter", "console")
	harness.RunSample(t, sample, "--count", "1", "--role", "server")
	a.Stop()
	out := string(a.Output())
	for _, want := range []string{
		"  sample  ended: process_exit\n",
		"\n├─ tls::key_exchange ",
		"\n│  └─ pk::encapsulate ",
		"\n   └─ pk::sign ",
		"pk.algorithm=ECDSA  pk.curve=SECP256R1  pk.bits=256  pk.hash=SHA256\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("the console lacks %q:\n%s", want, out)
		}
	}
	if strings.Contains(out, "\x1b") {
		t.Error("the console is coloured although it is no terminal")
	}
}

func TestTotalsAreLoggedWithoutAnyEvent(t *testing.T) {
	t.Parallel()
	sample := ownSample(t)
	a := startAgent(t, nil, "--library", sample, "--exporter", "none")
	a.Stop().CheckExact(t, 0)
}
