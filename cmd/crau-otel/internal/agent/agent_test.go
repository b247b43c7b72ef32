// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/config"
	"github.com/crau-otel/crau-otel/test/harness"
)

const root = "../../../.."

// logBuffer collects log lines. It is safe for concurrent use.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *logBuffer) Write(line []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(line)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// await waits until the log contains a text.
func (b *logBuffer) await(t *testing.T, text string) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !strings.Contains(b.String(), text); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%q is not in the log:\n%s", text, b)
		}
	}
}

// running is an agent that runs within the test process.
type running struct {
	*Agent
	log   logBuffer
	spans string // file with the output of the console exporter
	end   context.CancelFunc
	ended chan error
}

// start starts an agent and waits until it is ready. Discovery and wire are off, and the console exporter is used,
// unless change modifies that.
func start(t *testing.T, change func(*Config)) *running {
	t.Helper()
	harness.RequireBPF(t)
	c := Config{Config: config.Default(), Version: "v0.0.0-test", Level: new(slog.LevelVar)}
	c.Config.Discovery.Enabled = false
	c.Config.Wire.Enabled = false // excludes connections of other programs
	c.Config.Exporter = config.ExporterConsole
	c.Config.Sandbox = false // the sandbox would restrict other tests in this process
	r := &running{spans: filepath.Join(t.TempDir(), "spans"), ended: make(chan error, 1)}
	var err error
	if c.Stdout, err = os.Create(r.spans); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Stdout.Close() })
	c.Log = slog.New(slog.NewTextHandler(&r.log, &slog.HandlerOptions{Level: c.Level}))
	change(&c)
	if r.Agent, err = New(c); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	r.end = cancel
	t.Cleanup(cancel)
	go func() { r.ended <- r.Run(ctx) }()
	r.log.await(t, "msg=ready ")
	return r
}

// stop ends the agent and returns the result of Run.
func (r *running) stop(t *testing.T) error {
	t.Helper()
	r.end()
	select {
	case err := <-r.ended:
		return err
	case <-time.After(30 * time.Second):
		t.Fatalf("the agent does not end:\n%s", &r.log)
		return nil
	}
}

func TestAgentExportsTheTreesOfALibrary(t *testing.T) {
	sample := harness.Sample(t, root)
	a := start(t, func(c *Config) { c.Config.Libraries = []string{sample} })
	if out, err := exec.CommandContext(t.Context(), sample, "--rate", "0", "--count", "1").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := a.stop(t); err != nil {
		t.Fatal(err)
	}
	spans, err := os.ReadFile(a.spans)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(string(spans), "tls::handshake "); got != 2 {
		t.Errorf("%d handshakes:\n%s\nlog:\n%s", got, spans, &a.log)
	}
	a.log.await(t, "msg=totals ")
}

func TestReloadChangesTheLevel(t *testing.T) {
	sample := harness.Sample(t, root)
	var loaded config.Config
	var loadErr error
	a := start(t, func(c *Config) {
		c.Config.Libraries = []string{sample}
		loaded = c.Config
		loaded.Log.Level = "debug"
		loaded.Ring.Size *= 2
		c.Load = func() (config.Config, error) { return loaded, loadErr }
	})
	a.Reload()
	a.log.await(t, `msg="some changes need a restart" keys=ring.size`)
	if a.level.Level() != slog.LevelDebug {
		t.Errorf("the level is %s", a.level.Level())
	}
	loadErr = errors.New("no such file")
	a.Reload()
	a.log.await(t, `msg="configuration not reloaded" error="no such file"`)
	if err := a.stop(t); err != nil {
		t.Fatal(err)
	}
}

func TestNewRefusesNothingToTrace(t *testing.T) {
	harness.RequireBPF(t)
	c := config.Default()
	c.Discovery.Enabled, c.Wire.Enabled = false, false
	if _, err := New(Config{Config: c}); err == nil || !strings.HasPrefix(err.Error(), "nothing to trace: ") {
		t.Errorf("error is %v", err)
	}
}
