// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"log/slog"
	"net"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/crau-otel/crau-otel/test/harness"
)

// manager takes the part of systemd: it receives the states that the agent reports.
type manager struct{ *net.UnixConn }

func listen(t *testing.T) manager {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	return manager{conn}
}

// expect waits for a state that matches pattern. Only states of the watchdog may precede it.
func (m manager) expect(t *testing.T, pattern string) {
	t.Helper()
	if err := m.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	for buffer := make([]byte, 256); ; {
		n, err := m.Read(buffer)
		if err != nil {
			t.Fatalf("no state %s: %v", pattern, err)
		}
		switch state := string(buffer[:n]); {
		case regexp.MustCompile(`^` + pattern + `$`).MatchString(state):
			return
		case state != "WATCHDOG=1":
			t.Fatalf("got the state %q, want %s", state, pattern)
		}
	}
}

func TestServiceManagerIsNotifiedOfEachState(t *testing.T) {
	m := listen(t)
	t.Setenv("WATCHDOG_USEC", "3000000")
	sample := harness.Sample(t, root)
	a := start(t, func(c *Config) { c.Config.Libraries = []string{sample} })
	m.expect(t, "READY=1")
	m.expect(t, "WATCHDOG=1")
	m.expect(t, "WATCHDOG=1")
	a.Reload()
	m.expect(t, `RELOADING=1\nMONOTONIC_USEC=\d+\n`)
	m.expect(t, "READY=1")
	a.end()
	m.expect(t, "STOPPING=1")
}

func TestWatchdogIsNotFedWhileNoEventIsHandled(t *testing.T) {
	m := listen(t)
	t.Setenv("WATCHDOG_USEC", "100000")
	h := &handler{lastNote: time.Now().Add(-time.Second)}
	var log logBuffer
	go feedWatchdog(t.Context(), h, slog.New(slog.NewTextHandler(&log, nil)))
	log.await(t, "watchdog not fed")
	if err := m.SetReadDeadline(time.Now().Add(300 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if n, err := m.Read(make([]byte, 256)); err == nil {
		t.Errorf("a stalled agent reported %d bytes", n)
	}
}
