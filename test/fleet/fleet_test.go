// SPDX-License-Identifier: Apache-2.0

//go:build fleet

package fleet

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/crau-otel/crau-otel/test/harness"
)

const root = "../.."

// patience is the deadline for operations that take only a moment on an idle machine.
const patience = 60 * time.Second

// program returns the path of a program: prometheus as installed by Debian, and all others from the folder $FLEET.
func program(t testing.TB, name string) string {
	t.Helper()
	if path, err := exec.LookPath(name); err == nil && name == "prometheus" {
		return path
	}
	path := filepath.Join(os.Getenv("FLEET"), name)
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%v: run `make test-fleet`, which builds it and sets FLEET", err)
	}
	return path
}

// hop is a running program between crau-otel and the backend, or the backend. It can be killed and started again.
type hop struct {
	t     testing.TB
	name  string
	args  []string
	env   []string
	ready func() bool

	// ending is the signal that kill sends; 0 means SIGKILL.
	ending syscall.Signal

	cmd   *exec.Cmd
	ended chan struct{} // closed when the program has ended
	log   output
}

// output stores what a hop prints. It is kept when the hop is started again.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write implements io.Writer.
func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(b)
}

// String returns what the hop has printed so far.
func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// start starts a program and waits until ready returns true. The program is killed at the end of the test. If the test
// fails, the end of the program's output is shown.
func start(t testing.TB, name string, ready func() bool, env []string, args ...string) *hop {
	t.Helper()
	h := &hop{t: t, name: name, args: args, env: env, ready: ready}
	t.Cleanup(func() {
		h.kill()
		if text := h.log.String(); t.Failed() {
			t.Logf("%s printed:\n%s", name, text[max(0, len(text)-4000):])
		}
	})
	h.start()
	return h
}

func (h *hop) start() {
	h.t.Helper()
	h.cmd = exec.Command(program(h.t, h.name), h.args...)
	h.cmd.Env = append(os.Environ(), h.env...)
	h.cmd.Stdout, h.cmd.Stderr = &h.log, &h.log
	h.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := h.cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	h.ended = make(chan struct{})
	go func(cmd *exec.Cmd, ended chan struct{}) {
		_ = cmd.Wait()
		close(ended)
	}(h.cmd, h.ended)
	eventually(h.t, h.name+" to be ready", func() bool {
		select {
		case <-h.ended:
			h.t.Fatalf("%s ended at once: %v", h.name, h.cmd.ProcessState)
		default:
		}
		return h.ready()
	})
}

// kill ends the program with the signal ending, or SIGKILL if that is 0, and waits until it has ended.
func (h *hop) kill() {
	if h.ended == nil {
		return
	}
	signal := h.ending
	if signal == 0 {
		signal = syscall.SIGKILL
	}
	_ = h.cmd.Process.Signal(signal)
	select {
	case <-h.ended:
	case <-time.After(patience):
		_ = h.cmd.Process.Kill()
		<-h.ended
	}
}

// eventually waits until a condition is true.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !holds(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited %v for %s", patience, what)
		}
	}
}

// listening returns a condition for eventually: all of the addresses accept connections.
func listening(addresses ...string) func() bool {
	return func() bool {
		for _, a := range addresses {
			conn, err := net.DialTimeout("tcp", a, time.Second)
			if err != nil {
				return false
			}
			conn.Close()
		}
		return true
	}
}

// chain is the path of traces from crau-otel to the backend: a host's collector, Kafka, a gateway and Jaeger.
type chain struct {
	collector, broker, gateway, jaeger *hop

	otlp       string // OTLP address of the host's collector
	query      string // URL of Jaeger's API
	prometheus string // URL of the gateway's metrics
	topics     string // folder of Kafka's data
}

// startChain starts a chain with the configuration files of examples/collector. The gateway keeps keepPercent percent
// of the trees that need no attention.
func startChain(t testing.TB, keepPercent int) *chain {
	t.Helper()
	jaeger, query, traces := startJaeger(t, t.TempDir())
	c := startCollectors(t, keepPercent, traces)
	c.jaeger, c.query = jaeger, query
	return c
}

// startCollectors starts a chain without Jaeger. Its gateway sends the traces to the OTLP endpoint traces.
func startCollectors(t testing.TB, keepPercent int, traces string) *chain {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"kafka", "gateway", "collector"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	kafka, prometheus, otlp := harness.UnusedAddress(t), harness.UnusedAddress(t), harness.UnusedAddress(t)
	c := &chain{otlp: otlp, prometheus: "http://" + prometheus + "/metrics", topics: filepath.Join(dir, "kafka")}
	c.broker = start(t, "broker", listening(kafka), nil, kafka, c.topics)
	c.broker.ending = syscall.SIGTERM // the broker writes its list of topics only when it ends cleanly
	c.gateway = start(t, "otelcol", listening(prometheus), []string{
		"KAFKA_BROKERS=" + kafka, "TRACES_ENDPOINT=" + traces, "PROMETHEUS_ENDPOINT=" + prometheus,
		"QUEUE_DIR=" + filepath.Join(dir, "gateway"), fmt.Sprintf("KEEP_PERCENT=%d", keepPercent),
	}, "--config", root+"/examples/collector/gateway.yaml")
	c.collector = start(t, "otelcol", listening(otlp), []string{
		"KAFKA_BROKERS=" + kafka, "OTLP_ENDPOINT=" + otlp, "QUEUE_DIR=" + filepath.Join(dir, "collector"),
	}, "--config", root+"/examples/collector/host.yaml")
	return c
}

// startJaeger starts a Jaeger that stores its data in a folder. It returns the URL of Jaeger's API and the address
// where Jaeger accepts OTLP.
func startJaeger(t testing.TB, dir string) (jaeger *hop, query, otlp string) {
	t.Helper()
	http, grpc, otlp := harness.UnusedAddress(t), harness.UnusedAddress(t), harness.UnusedAddress(t)
	jaeger = start(t, "jaeger", listening(http, otlp), []string{
		"JAEGER_HTTP=" + http, "JAEGER_GRPC=" + grpc, "JAEGER_OTLP=" + otlp, "JAEGER_DIR=" + dir,
	}, "--config", "testdata/jaeger.yaml")
	return jaeger, "http://" + http, otlp
}

// scrape fetches a page in Prometheus's text format and returns the series whose name and labels contain all parts.
func scrape(t testing.TB, url string, parts ...string) []string {
	t.Helper()
	client := http.Client{Timeout: patience}
	resp, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var body bytes.Buffer
	if _, err := body.ReadFrom(resp.Body); err != nil {
		t.Fatal(err)
	}
	var found []string
lines:
	for line := range strings.Lines(body.String()) {
		for _, part := range parts {
			if strings.HasPrefix(line, "#") || !strings.Contains(line, part) {
				continue lines
			}
		}
		found = append(found, strings.TrimSpace(line))
	}
	return found
}
