// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/crau-otel/crau-otel/test/needs"

	"github.com/crau-otel/crau-otel/test/harness"
)

// startWire starts an agent that traces connections and prints its spans as JSON, with process ids.
func startWire(t *testing.T, args ...string) *harness.TestAgent {
	t.Helper()
	return startAgent(t, []string{"CRAU_WIRE_ENABLED=true", "CRAU_PRIVACY_PROCESS=full"}, append(slices.Clone(asJSON), args...)...)
}

// freePort returns a port that is not in use.
func freePort(t *testing.T) string {
	t.Helper()
	_, port, err := net.SplitHostPort(harness.UnusedAddress(t))
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// serve starts a server and returns its process id when the server listens on a port. It does not connect to the port.
// At the end of the test, it sends SIGTERM, so that the server ends its children, and kills the server if it does not
// end.
func serve(t *testing.T, cmd *exec.Cmd, port string) int {
	t.Helper()
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(5 * time.Second):
			_ = cmd.Process.Kill()
			<-ended
		}
		if t.Failed() {
			t.Logf("%v printed: %.2000s", cmd.Args, output.String())
		}
	})
	for deadline := time.Now().Add(time.Minute); !listening(t, port); time.Sleep(20 * time.Millisecond) {
		select {
		case <-ended:
			t.Fatalf("%v ended: %s", cmd.Args, output.String())
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("%v does not listen on %s", cmd.Args, port)
		}
	}
	return cmd.Process.Pid
}

// listening reports whether a socket listens on a port.
func listening(t *testing.T, port string) bool {
	t.Helper()
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	const listen = "0A"
	for _, file := range []string{"/proc/thread-self/net/tcp", "/proc/thread-self/net/tcp6"} {
		b, err := os.ReadFile(file)
		if err != nil {
			continue // the host has no IPv6
		}
		for line := range strings.Lines(string(b)) {
			if f := strings.Fields(line); len(f) > 3 && f[3] == listen && strings.HasSuffix(f[1], fmt.Sprintf(":%04X", n)) {
				return true
			}
		}
	}
	return false
}

// find returns the path of an installed program. It prefers the system's directories to $PATH, to avoid the programs of
// version managers and the script that runs Chromium as its child.
func find(t *testing.T, name string) string {
	t.Helper()
	candidates := []string{"/usr/lib/chromium/" + name, "/usr/bin/" + name, "/usr/sbin/" + name, "/usr/lib/postgresql/*/bin/" + name}
	if path, err := exec.LookPath(name); err == nil {
		candidates = append(candidates, path)
	}
	for _, pattern := range candidates {
		if found, _ := filepath.Glob(pattern); len(found) > 0 {
			return found[len(found)-1]
		}
	}
	needs.Missing(t, "%s is not installed", name)
	return ""
}

// shakes is the number of handshakes by description.
type shakes map[string]int

// handshakesOf returns the number of handshakes by description, of the processes in names. A description starts with
// the process's name and a colon.
func handshakesOf(t *testing.T, a *harness.TestAgent, names map[int]string) shakes {
	t.Helper()
	got := make(shakes)
	for _, root := range harness.Trees(t, a.ConsoleSpans()) {
		pid, err := strconv.Atoi(fmt.Sprint(root.Resource["process.pid"]))
		if err != nil {
			t.Errorf("process.pid: %v", err)
		}
		if name, ok := names[pid]; ok {
			got[name+": "+describeHandshake(root)]++
		}
	}
	return got
}

// describeHandshake describes a handshake that was reported from a connection: its role, version, cipher suite, group,
// the groups that the client offered, the status of the key exchange, and everything unusual.
func describeHandshake(root *harness.Span) string {
	a := root.Attributes
	var parts []string
	text := func(key string) {
		if v, ok := a[key]; ok {
			parts = append(parts, fmt.Sprint(v))
		}
	}
	if root.Name == "ssh::handshake" {
		text("ssh.role")
		for _, c := range root.Children {
			for _, key := range []string{"ssh.kex_algorithm", "ssh.key_algorithm", "ssh.c2s_cipher", "ssh.c2s_mac"} {
				if v, ok := c.Attributes[key]; ok {
					parts = append(parts, fmt.Sprint(v))
				}
			}
		}
	} else {
		text("tls.role")
		text("tls.protocol.version")
		text("tls.cipher")
		text("tls.group.name")
		text("tls.groups.offered")
	}
	text("crypto.pqc.key_exchange.status")
	text("tls.signature_scheme.name")
	for _, key := range []string{"crypto.pqc.downgraded", "tls.hello_retry_request", "tls.resumed"} {
		if fmt.Sprint(a[key]) == "true" {
			parts = append(parts, key[strings.LastIndexByte(key, '.')+1:])
		}
	}
	text("error.type")
	if id, ok := root.Resource["container.id"]; ok {
		parts = append(parts, fmt.Sprintf("in %v", id))
	}
	if a["crypto.source"] != "wire" {
		parts = append(parts, fmt.Sprintf("source=%v", a["crypto.source"]))
	}
	if a["crypto.context.end"] != "observed" {
		parts = append(parts, fmt.Sprintf("end=%v", a["crypto.context.end"]))
	}
	return strings.Join(parts, " ")
}

// check compares the numbers of handshakes with those expected.
func (got shakes) check(t *testing.T, want shakes) {
	t.Helper()
	lines := make(map[string]struct{})
	for line := range got {
		lines[line] = struct{}{}
	}
	for line := range want {
		lines[line] = struct{}{}
	}
	for line := range lines {
		if got[line] == want[line] {
			delete(lines, line)
		}
	}
	const most = 20
	for i, line := range slices.Sorted(maps.Keys(lines)) {
		if i == most {
			t.Errorf("and %d more", len(lines)-most)
			break
		}
		t.Errorf("%d times, want %d: %s", got[line], want[line], line)
	}
}

// connections returns the agent's counters of connections, and checks that they add up.
func connections(t *testing.T, a *harness.TestAgent) harness.Totals {
	t.Helper()
	n, err := harness.ParseConnections(a.Log())
	if err != nil {
		t.Error(err)
	}
	return n
}

// want compares attributes of a span with expected values. nil means that the attribute must be missing.
func want(t *testing.T, s *harness.Span, attributes map[string]any) {
	t.Helper()
	for k, w := range attributes {
		if got := s.Attributes[k]; fmt.Sprint(got) != fmt.Sprint(w) {
			t.Errorf("%s is %v, want %v in\n%s", k, got, w, s.Text())
		}
	}
}
