// SPDX-License-Identifier: Apache-2.0

//go:build gnutls

package e2e

import (
	"bufio"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/crau-otel/crau-otel/test/harness"
)

// gnutls returns the path of a file in the folder GNUTLS_CACHE, in which examples/gnutls/build.sh has built a GnuTLS
// with probes.
func gnutls(t *testing.T, file string) string {
	t.Helper()
	dir := os.Getenv("GNUTLS_CACHE")
	if dir == "" {
		t.Fatal("set GNUTLS_CACHE to the folder of examples/gnutls/build.sh, or use make test-gnutls")
	}
	return filepath.Join(dir, file)
}

// handshakes traces examples/gnutls/handshakes.c and returns the trees whose root is a handshake. The program makes its
// certificates before the agent attaches the library.
func handshakes(t *testing.T, args ...string) []*harness.Span {
	t.Helper()
	program := exec.Command(gnutls(t, "bin/handshakes"), append(args, "--wait")...)
	stdin, err := program.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := program.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := program.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = program.Process.Kill() })
	out := bufio.NewScanner(stdout)
	if !out.Scan() || out.Text() != "waiting" {
		t.Fatalf("handshakes printed %q, want waiting", out.Text())
	}
	a := traceGnuTLS(t)
	if _, err := stdin.Write([]byte("\n")); err != nil {
		t.Fatal(err)
	}
	var printed []string
	for out.Scan() {
		printed = append(printed, out.Text())
	}
	if err := program.Wait(); err != nil {
		t.Fatalf("handshakes %v: %v\n%s", args, err, strings.Join(printed, "\n"))
	}
	n := a.Stop()
	n.CheckExact(t, n["hits"])
	roots := ownTrees(t, a, "handshakes")
	for _, root := range roots {
		if root.Name != "tls::handshake" {
			t.Errorf("a root besides the handshakes: %s", root.Text())
		}
		if root.Resource["service.name"] != "handshakes" {
			t.Errorf("service.name is %v", root.Resource["service.name"])
		}
	}
	return roots
}

// traceGnuTLS starts an agent that traces the probes of GnuTLS, and all connections.
func traceGnuTLS(t *testing.T) *harness.TestAgent {
	t.Helper()
	return startAgent(t, []string{"CRAU_WIRE_ENABLED=true"}, append([]string{"--library", gnutls(t, "lib/libgnutls.so.30")}, asJSON...)...)
}

// ownTrees returns the trees of the given programs that the agent printed. It ignores trees of other programs on this
// host.
func ownTrees(t *testing.T, a *harness.TestAgent, programs ...string) []*harness.Span {
	t.Helper()
	return slices.DeleteFunc(harness.Trees(t, a.ConsoleSpans()), func(root *harness.Span) bool {
		return root.Attributes["crypto.source"] == "wire" && !slices.Contains(programs, fmt.Sprint(root.Resource["service.name"]))
	})
}

// namesBelow returns the names of all descendants of s, without repetitions.
func namesBelow(s *harness.Span) []string {
	var found []string
	for _, c := range s.Children {
		found = append(append(found, c.Name), namesBelow(c)...)
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// byRole splits the roots of handshakes into those of clients and those of servers.
func byRole(t *testing.T, roots []*harness.Span) (clients, servers []*harness.Span) {
	t.Helper()
	for _, r := range roots {
		switch r.Attributes["tls.role"] {
		case "client":
			clients = append(clients, r)
		case "server":
			servers = append(servers, r)
		default:
			t.Errorf("a handshake without a role:\n%s", r.Text())
		}
	}
	return clients, servers
}

func TestGnuTLSNonBlocking(t *testing.T) {
	for _, version := range []string{"1.3", "1.2"} {
		for _, interleave := range []string{"1", "10"} {
			t.Run(version+" interleaved "+interleave, func(t *testing.T) {
				clients, servers := byRole(t, handshakes(t, "--count", "100", "--interleave", interleave, "--version", version))
				if len(clients) != 100 || len(servers) != 100 {
					t.Fatalf("%d clients and %d servers, want 100 each", len(clients), len(servers))
				}
				for _, r := range append(clients, servers...) {
					want(t, r, map[string]any{
						"tls.protocol.version": version, "crypto.handshake.joined": "exact",
						"crypto.pqc.key_exchange.status": "classical", "crypto.pqc.authentication.status": "classical",
						"tls.signature_scheme.name": "ecdsa_secp256r1_sha256", "crypto.context.parent": nil,
						"crypto.incomplete": nil, "crypto.context.unreadable": nil,
					})
					names := namesBelow(r)
					proof := "tls::sign"
					if r.Attributes["tls.role"] == "client" {
						proof = "tls::verify"
					}
					if !slices.Contains(names, "pk::derive") || !slices.Contains(names, proof) {
						t.Errorf("lacks pk::derive or %s:\n%s", proof, r.Text())
					}
					if t.Failed() {
						return
					}
				}
			})
		}
	}
}

// One thread makes ten handshakes alternately, each over a separate socket. Each handshake becomes one tree per side,
// which also has data that only the connection shows: GnuTLS does not report the cipher suite, and with TLS 1.2 it does
// not report the group.
func TestGnuTLSOverSockets(t *testing.T) {
	const pairs = 50
	ciphers := map[string]string{"1.3": "TLS_AES_256_GCM_SHA384", "1.2": "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"}
	for _, version := range []string{"1.3", "1.2"} {
		for _, interleave := range []string{"1", "10"} {
			t.Run(version+" interleaved "+interleave, func(t *testing.T) {
				clients, servers := byRole(t, handshakes(t, "--tcp", "--count", fmt.Sprint(pairs), "--interleave", interleave, "--version", version))
				if len(clients) != pairs || len(servers) != pairs {
					t.Fatalf("%d clients and %d servers, want %d each", len(clients), len(servers), pairs)
				}
				for _, r := range append(clients, servers...) {
					want(t, r, map[string]any{
						"tls.protocol.version": version, "crypto.source": "probe+wire", "crypto.source.joined": "exact",
						"tls.cipher": ciphers[version], "tls.group.name": "secp256r1", "crypto.pqc.key_exchange.status": "classical",
						"crypto.pqc.authentication.status": "classical", "crypto.incomplete": nil, "error.type": nil,
					})
					if offered := fmt.Sprint(r.Attributes["tls.groups.offered"]); len(strings.Fields(offered)) < 3 {
						t.Errorf("offered groups are %s", offered)
					}
					if t.Failed() {
						return
					}
				}
			})
		}
	}
}

// A resumed handshake, and a handshake that fails for lack of a common group, also become one tree per side.
func TestGnuTLSOverSocketsResumedAndFailed(t *testing.T) {
	resumed := 0
	roots := handshakes(t, "--tcp", "--count", "3", "--resume")
	for _, r := range roots {
		want(t, r, map[string]any{"crypto.source": "probe+wire", "error.type": nil})
		if r.Attributes["tls.resumed"] == true {
			resumed++
		}
	}
	if len(roots) != 12 || resumed != 6 {
		t.Errorf("%d handshakes, %d of them resumed; want 12 and 6", len(roots), resumed)
	}
	clients, servers := byRole(t, handshakes(t, "--tcp", "--count", "3", "--fail"))
	if len(clients) != 3 || len(servers) != 3 {
		t.Errorf("%d clients and %d servers, want 3 each", len(clients), len(servers))
	}
	for _, r := range append(clients, servers...) {
		want(t, r, map[string]any{"crypto.source": "probe+wire", "error.type": "handshake_failure", "tls.alert.side": "server"})
	}
}

func TestGnuTLSBlockingOnManyThreads(t *testing.T) {
	clients, servers := byRole(t, handshakes(t, "--count", "50", "--blocking", "--threads", "4"))
	if len(clients) != 50 || len(servers) != 50 {
		t.Errorf("%d clients and %d servers, want 50 each", len(clients), len(servers))
	}
}

const hybridGroup = "+GROUP-X25519-MLKEM768"

func TestGnuTLSKeyExchangeStatus(t *testing.T) {
	const only = "NORMAL:-GROUP-ALL:"
	for _, c := range []struct {
		what, client, server  string
		group, status         any
		downgraded, encapsule any
	}{
		{"hybrid", only + hybridGroup + ":+GROUP-SECP256R1", only + hybridGroup, "X25519MLKEM768", "hybrid", nil, true},
		{"downgraded", only + hybridGroup + ":+GROUP-SECP256R1", only + "+GROUP-SECP256R1", "secp256r1", "classical", true, false},
		{"classical", only + "+GROUP-SECP256R1", only + "+GROUP-SECP256R1", "secp256r1", "classical", nil, false},
	} {
		t.Run(c.what, func(t *testing.T) {
			clients, servers := byRole(t, handshakes(t, "--count", "3", "--client-priority", c.client, "--server-priority", c.server))
			if len(clients) != 3 || len(servers) != 3 {
				t.Fatalf("%d clients and %d servers, want 3 each", len(clients), len(servers))
			}
			for _, r := range clients {
				want(t, r, map[string]any{
					"tls.group.name": c.group, "crypto.pqc.key_exchange.status": c.status, "crypto.pqc.downgraded": c.downgraded,
				})
				if got := slices.Contains(namesBelow(r), "pk::decapsulate"); got != c.encapsule {
					t.Errorf("pk::decapsulate: %v, want %v", got, c.encapsule)
				}
			}
			for _, r := range servers {
				want(t, r, map[string]any{
					"tls.group.name": c.group, "crypto.pqc.key_exchange.status": c.status, "crypto.pqc.downgraded": nil,
				})
			}
		})
	}
}

func TestGnuTLSPostQuantumCertificate(t *testing.T) {
	clients, servers := byRole(t, handshakes(t, "--key", "mldsa65", "--client-priority", "NORMAL:"+hybridGroup,
		"--server-priority", "NORMAL:"+hybridGroup))
	for _, r := range append(clients, servers...) {
		want(t, r, map[string]any{
			"crypto.pqc.authentication.status": "post_quantum", "tls.signature_scheme.name": "mldsa65",
		})
	}
}

// If handshakes use no network connection, a resumed handshake has no signature, and nothing says that it is a
// resumption.
func TestGnuTLSResumption(t *testing.T) {
	roots := handshakes(t, "--count", "2", "--resume")
	unsigned := 0
	for _, r := range roots {
		want(t, r, map[string]any{"tls.resumed": nil})
		if r.Attributes["crypto.pqc.authentication.status"] == nil {
			unsigned++
		}
	}
	if len(roots) != 8 || unsigned != 4 {
		t.Errorf("%d handshakes, %d of them without a signature; want 8 and 4", len(roots), unsigned)
	}
}

// When a handshake fails, or when it uses RSA key exchange, GnuTLS leaves contexts on its stack and reports wrong
// parents from then on. The agent still reports every handshake, and does not mix two of them.
func TestGnuTLSLeakyStack(t *testing.T) {
	for _, args := range [][]string{
		{"--fail=share", "--count", "30"},
		{"--key", "rsa", "--version", "1.2", "--priority", "NORMAL:-VERS-ALL:+VERS-TLS1.2:-KX-ALL:+RSA", "--count", "30"},
	} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			clients, servers := byRole(t, handshakes(t, args...))
			if len(clients) != 30 || len(servers) != 30 {
				t.Errorf("%d clients and %d servers, want 30 each", len(clients), len(servers))
			}
		})
	}
}

// Each handshake of gnutls-serv and gnutls-cli is reported with the right program. This also holds for the client,
// which lives only for milliseconds: what was recorded in the kernel identifies it.
func TestGnuTLSServAndCli(t *testing.T) {
	a := traceGnuTLS(t)
	traffic := exec.Command("../../examples/gnutls/traffic.sh")
	traffic.Env = append(os.Environ(), "GNUTLS_CACHE="+gnutls(t, ""))
	if out, err := traffic.CombinedOutput(); err != nil {
		t.Fatalf("traffic.sh: %v\n%s", err, out)
	}
	n := a.Stop()
	n.CheckExact(t, n["hits"])
	type side struct {
		service, role, version string
	}
	proof := map[side]string{
		{"gnutls-cli", "client", "1.3"}: "tls::verify", {"gnutls-cli", "client", "1.2"}: "tls::verify",
		{"gnutls-serv", "server", "1.3"}: "tls::sign", {"gnutls-serv", "server", "1.2"}: "tls::sign",
	}
	found := 0
	for _, r := range ownTrees(t, a, "gnutls-cli", "gnutls-serv") {
		if r.Name != "tls::handshake" {
			continue // not a handshake: gnutls-serv checks its key pair when it starts
		}
		found++
		who := side{
			fmt.Sprint(r.Resource["service.name"]), fmt.Sprint(r.Attributes["tls.role"]), fmt.Sprint(r.Attributes["tls.protocol.version"]),
		}
		name, ok := proof[who]
		if !ok {
			t.Errorf("unexpected or repeated handshake of %+v:\n%s", who, r.Text())
			continue
		}
		delete(proof, who)
		i := slices.IndexFunc(r.Children, func(c *harness.Span) bool { return c.Name == name })
		if i < 0 || r.Children[i].Attributes["tls.signature_scheme.id"] == nil {
			t.Errorf("%+v has no %s with its scheme:\n%s", who, name, r.Text())
		}
		id := map[string]string{"1.3": "772", "1.2": "771"}[who.version]
		cipher := map[string]string{"1.3": "TLS_AES_256_GCM_SHA384", "1.2": "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"}[who.version]
		want(t, r, map[string]any{
			"tls.protocol.version_id": id, "crypto.source": "probe+wire", "crypto.source.joined": "exact", "tls.cipher": cipher,
		})
	}
	if found != 4 {
		t.Errorf("%d handshakes, want 4; missing %v", found, proof)
	}
}

// A handshake that is authenticated by a pre-shared key from outside TLS has no signature, but is not reported as
// resumed.
func TestGnuTLSExternalKey(t *testing.T) {
	const script = `set -e
ip link set lo up
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key -out cert -subj /CN=localhost 2>/dev/null
echo user:0a0b0c0d >keys
kx=:+PSK:+DHE-PSK:+ECDHE-PSK
timeout 60 "$0/gnutls-serv" --quiet --http --port 5556 --priority "NORMAL$kx" --x509certfile cert --x509keyfile key \
  --pskpasswd keys </dev/null &
trap 'kill $!; wait $! || true' EXIT
for _ in $(seq 100); do ! ss -ltn | grep -q :5556 || break; sleep 0.1; done
for version in 1.3 1.2; do
  only="NORMAL:-VERS-ALL:+VERS-TLS$version"
  "$0/gnutls-cli" --insecure --priority "$only" -p 5556 localhost </dev/null
  "$0/gnutls-cli" --pskusername user --pskkey 0a0b0c0d --priority "$only:-KX-ALL:+ECDHE-PSK" -p 5556 localhost </dev/null
  "$0/gnutls-cli" --pskusername user --pskkey 0a0b0c0d --priority "$only:-KX-ALL:+PSK" -p 5556 localhost </dev/null
done
`
	a := traceGnuTLS(t)
	connections := exec.Command("unshare", "--net", "bash", "-c", script, gnutls(t, "bin"))
	connections.Dir = t.TempDir()
	if out, err := connections.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	n := a.Stop()
	n.CheckExact(t, n["hits"])
	found := make(map[string]int)
	for _, r := range ownTrees(t, a, "gnutls-cli", "gnutls-serv") {
		if r.Name != "tls::handshake" {
			continue
		}
		want(t, r, map[string]any{"tls.resumed": nil, "crypto.source": "probe+wire"})
		found[fmt.Sprint(r.Attributes["tls.protocol.version"], " ", r.Attributes["crypto.pqc.key_exchange.status"], " ",
			r.Attributes["crypto.pqc.authentication.status"])]++
	}
	if expected := map[string]int{
		"1.3 classical classical": 2, "1.3 classical <nil>": 2, "1.3 <nil> <nil>": 2,
		"1.2 classical classical": 2, "1.2 classical <nil>": 2, "1.2 <nil> <nil>": 2,
	}; !maps.Equal(found, expected) {
		t.Errorf("handshakes by version, key exchange and authentication: %v, want %v", found, expected)
	}
}
