// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/crau-otel/crau-otel/test/harness"
)

// Stock programs, started before the agent or after, appear with each of their handshakes once.
func TestWireShowsStockPrograms(t *testing.T) {
	harness.RequireBPF(t)
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("hi")) }))
	srv.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	srv.StartTLS()
	defer srv.Close()
	_, port, err := net.SplitHostPort(srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	// The names that the programs have in this test only, so that others on this host do not count.
	dir := t.TempDir()
	program := func(name string) string {
		path, err := exec.LookPath(name)
		if err != nil {
			t.Skipf("%s is not installed", name)
		}
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		renamed := filepath.Join(dir, fmt.Sprintf("wire-%s-%d", name, os.Getpid()))
		if err := os.WriteFile(renamed, content, 0o755); err != nil {
			t.Fatal(err)
		}
		return renamed
	}
	curl, openssl := program("curl"), program("openssl")
	r := harness.Receive(t, harness.ReceiverConfig{})
	a := startAgent(t, []string{
		"OTEL_EXPORTER_OTLP_ENDPOINT=" + r.Endpoint(), "CRAU_WIRE_ENABLED=true", "OTEL_METRICS_EXPORTER=none",
	})
	for _, command := range [][]string{
		{curl, "-sk", "https://127.0.0.1:" + port},
		{curl, "-sk", "--tls-max", "1.2", "https://127.0.0.1:" + port},
		{curl, "-s", "https://127.0.0.1:" + port}, // distrusts the certificate
		{openssl, "s_client", "-connect", "127.0.0.1:" + port, "-groups", "P-384"},
		{curl, "-s", "http://" + r.Address()}, // no TLS
	} {
		out, err := exec.Command(command[0], command[1:]...).CombinedOutput()
		t.Logf("%v: %v: %.200s", command, err, out)
	}
	a.Stop()

	got := make(map[string]int)
	for _, root := range harness.Trees(t, r.Spans()) {
		name, _ := root.Resource["process.executable.name"].(string)
		if name != filepath.Base(curl) && name != filepath.Base(openssl) {
			continue
		}
		if root.Attributes["crypto.source"] != "wire" || root.Attributes["crypto.context.end"] != "observed" {
			t.Errorf("%s", root.Text())
		}
		got[fmt.Sprintf("%.9s %v %v %v %v %v", name[len("wire-"):], root.Attributes["tls.role"],
			root.Attributes["tls.protocol.version"], root.Attributes["tls.group.name"],
			root.Attributes["crypto.pqc.key_exchange.status"], root.Attributes["error.type"] != nil)]++
	}
	short := func(path string) string { return fmt.Sprintf("%.9s", filepath.Base(path)[len("wire-"):]) }
	want := map[string]int{
		short(curl) + " client 1.3 x25519 classical false":       1,
		short(curl) + " client 1.3 x25519 classical true":        1,
		short(curl) + " client 1.2 x25519 classical false":       1,
		short(openssl) + " client 1.3 secp384r1 classical false": 1,
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}
