// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/crau-otel/crau-otel/test/harness"
)

// contextSite returns the address of the site at which a program opens contexts, in hexadecimal.
func contextSite(t *testing.T, program string) string {
	t.Helper()
	listed := crau(t, nil, "probes", "--output", "json", program)
	var files []listedFile
	if err := json.Unmarshal([]byte(listed.stdout), &files); err != nil || len(files) != 1 {
		t.Fatalf("list probes: %v: %s%s", err, listed.stdout, listed.stderr)
	}
	for _, site := range files[0].Sites {
		if site.Probe == "new_context_with_data" {
			return fmt.Sprintf("%x", site.Address)
		}
	}
	t.Fatalf("no probe that opens contexts: %s", listed.stdout)
	return ""
}

// earlyProgram is a running process of testdata/early.c.
type earlyProgram struct {
	path string
	in   io.Writer
	out  *bufio.Scanner
}

// startEarly starts a new copy of testdata/early.c. It returns the process and what it prints about its first
// handshake: "missed" or "attached".
func startEarly(t *testing.T, program, site, port string) (_ *earlyProgram, first string) {
	t.Helper()
	p := &earlyProgram{path: harness.Copy(t, program, filepath.Join(t.TempDir(), unique(t, "early")))}
	cmd := exec.Command(p.path, site, port, fmt.Sprintf("%x", harness.RecordedHello()))
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.in, p.out = in, bufio.NewScanner(out)
	harness.StartProgram(t, cmd)
	stop := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	t.Cleanup(func() { stop.Stop() })
	return p, p.next(t)
}

// next returns the next line that the program prints.
func (p *earlyProgram) next(t *testing.T) string {
	t.Helper()
	if !p.out.Scan() {
		t.Fatalf("%s ended: %v", p.path, p.out.Err())
	}
	return p.out.Text()
}

// If a program makes a handshake before its probes are attached, that handshake is reported from its connection alone.
// Later ones are reported from both probes and connection. Each handshake is one tree.
func TestWireHasTheFirstHandshakeOfAProgram(t *testing.T) {
	harness.RequireBPF(t)
	program := harness.Compile(t, root, filepath.Join(t.TempDir(), "early"), "-DCRAU_NOP1", "-no-pie", "testdata/early.c")
	site := contextSite(t, program)
	f, err := harness.NewFlood(root, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	port := freePort(t)
	serve(t, f.Server(port, 2), port)
	env := []string{"CRAU_WIRE_ENABLED=true", "CRAU_DISCOVERY_ENABLED=true"}
	a := startAgent(t, env, append([]string{"--log-level", "debug"}, asJSON...)...)
	const later = 3
	for attempt := 0; ; attempt++ {
		p, first := startEarly(t, program, site, port)
		if first != "missed" { // the agent was faster than the program
			if attempt == 20 {
				t.Fatal("the probes were attached before the end of the first handshake in each of 20 attempts")
			}
			continue
		}
		a.WaitLog("msg=attached file=" + p.path + " ")
		for range later {
			if _, err := io.WriteString(p.in, "\n"); err != nil {
				t.Fatal(err)
			}
			p.next(t)
		}
		a.Stop()
		checkFirst(t, a, filepath.Base(p.path), later)
		return
	}
}

// checkFirst checks the trees of a service: the first comes from the connection only, and each later one from both
// probes and connection.
func checkFirst(t *testing.T, a *harness.TestAgent, service string, later int) {
	t.Helper()
	roots := slices.DeleteFunc(harness.Trees(t, a.ConsoleSpans()), func(s *harness.Span) bool { return s.Resource["service.name"] != service })
	slices.SortFunc(roots, func(a, b *harness.Span) int { return a.Start.Compare(b.Start) })
	if len(roots) != 1+later {
		t.Errorf("%d trees, want one for each of %d handshakes", len(roots), 1+later)
	}
	for i, r := range roots {
		source, joined := "probe+wire", any("inferred")
		if i == 0 {
			source, joined = "wire", nil
		}
		want(t, r, map[string]any{
			"crypto.source": source, "crypto.source.joined": joined, "tls.role": "client", "tls.protocol.version": "1.3",
			"tls.cipher": "TLS_AES_128_GCM_SHA256", "tls.group.name": "x25519", "tls.groups.offered": "[x25519]",
			"crypto.pqc.key_exchange.status": "classical", "error.type": nil,
		})
	}
	if t.Failed() {
		var all strings.Builder
		for _, r := range roots {
			all.WriteString(r.Text())
		}
		t.Logf("%s\n%s", all.String(), a.Log())
	}
}
