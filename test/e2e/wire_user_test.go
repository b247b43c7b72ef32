// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"crypto/tls"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/crau-otel/crau-otel/test/harness"
)

// With --user, the agent keeps CAP_NET_ADMIN only if it traces connections.
func TestUserKeepsNetAdminForConnections(t *testing.T) {
	t.Parallel()
	harness.RequireBPF(t)
	for _, wire := range []bool{true, false} {
		t.Run(fmt.Sprint(wire), func(t *testing.T) {
			t.Parallel()
			a := startAgent(t, []string{fmt.Sprint("CRAU_WIRE_ENABLED=", wire)}, "--library", ownSample(t), "--user", "nobody", "--exporter", "none")
			status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", a.PID()))
			if err != nil {
				t.Fatal(err)
			}
			m := regexp.MustCompile(`CapEff:\t(\w+)`).FindSubmatch(status)
			effective, err := strconv.ParseUint(string(m[1]), 16, 64)
			if kept := effective&(1<<capNetAdmin) != 0; err != nil || kept != wire {
				t.Errorf("%v: the capabilities are %s", err, m[1])
			}
			a.Stop()
		})
	}
}

// The agent's own connections to a receiver are reported like those of any other program.
func TestOwnConnectionsAppearUnderTheirName(t *testing.T) {
	t.Parallel()
	harness.RequireBPF(t)
	refused, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{MinVersion: tls.VersionTLS13, GetCertificate: noCertificate})
	if err != nil {
		t.Fatal(err)
	}
	defer refused.Close()
	connected := make(chan struct{}, 1)
	go func() {
		for {
			c, err := refused.Accept()
			if err != nil {
				return
			}
			_ = c.(*tls.Conn).Handshake()
			_ = c.Close()
			select {
			case connected <- struct{}{}:
			default:
			}
		}
	}()
	name := fmt.Sprintf("crau-%d", os.Getpid())
	agent := harness.Copy(t, agentPath, t.TempDir()+"/"+name)
	// The agent prints traces, and sends metrics to a receiver that refuses the TLS handshake.
	a := harness.Start(t, harness.AgentConfig{
		Path: agent, Args: asJSON,
		Env: []string{
			"CRAU_WIRE_ENABLED=true", "OTEL_METRICS_EXPORTER=otlp", "OTEL_METRIC_EXPORT_INTERVAL=300",
			"OTEL_EXPORTER_OTLP_ENDPOINT=https://" + refused.Addr().String(),
		},
	})
	select {
	case <-connected:
	case <-time.After(30 * time.Second):
		t.Error("the agent has not connected")
	}
	a.Stop()
	found := 0
	for _, root := range harness.Trees(t, a.ConsoleSpans()) {
		if root.Resource["process.executable.name"] == name && root.Attributes["tls.role"] == "client" {
			found++
		}
	}
	if found == 0 {
		t.Error("no handshake of the agent itself")
	}
}

func noCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, os.ErrNotExist }
