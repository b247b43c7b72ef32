// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/crau-otel/crau-otel/test/harness"
)

// agent is a running crau-otel.
type agent struct {
	t      *testing.T
	cmd    *exec.Cmd
	stdout bytes.Buffer
	ready  chan struct{}
	eof    chan struct{} // the log has been read to its end
	news   chan struct{} // the log has grown

	mu  sync.Mutex
	log strings.Builder
}

// startAgent starts `crau-otel run` with args and waits until it is ready.
func startAgent(t *testing.T, env []string, args ...string) *agent {
	t.Helper()
	return startCommand(t, agentCommand(t, env, args...))
}

// agentCommand returns `crau-otel run` with args.
func agentCommand(t *testing.T, env []string, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 6*time.Minute)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, agentPath, append([]string{"run"}, args...)...)
	cmd.Env = append(os.Environ(), env...)
	return cmd
}

// startCommand starts cmd, which is to be `crau-otel run`, and waits until it is ready. Without an output of its own,
// its output is kept.
func startCommand(t *testing.T, cmd *exec.Cmd) *agent {
	t.Helper()
	harness.RequireBPF(t)
	a := &agent{t: t, cmd: cmd, ready: make(chan struct{}), eof: make(chan struct{}), news: make(chan struct{}, 1)}
	if cmd.Stdout == nil {
		cmd.Stdout = &a.stdout
	}
	stderr, err := a.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := a.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log of crau-otel:\n%s", a.logText())
		}
		_ = a.cmd.Process.Kill()
	})
	go a.follow(stderr)
	select {
	case <-a.ready:
	case <-a.eof:
		t.Fatal("crau-otel ended before it was ready")
	case <-time.After(30 * time.Second):
		t.Fatal("crau-otel is not ready after 30 s")
	}
	return a
}

func (a *agent) follow(r io.Reader) {
	defer close(a.eof)
	var once sync.Once
	for sc := bufio.NewScanner(r); sc.Scan(); {
		a.mu.Lock()
		a.log.WriteString(sc.Text() + "\n")
		a.mu.Unlock()
		select {
		case a.news <- struct{}{}:
		default:
		}
		if strings.Contains(sc.Text(), "msg=ready") || strings.Contains(sc.Text(), `"msg":"ready"`) {
			once.Do(func() { close(a.ready) })
		}
	}
}

// waitLog waits until a line of the log contains text.
func (a *agent) waitLog(text string) {
	a.t.Helper()
	timeout := time.After(30 * time.Second)
	for !strings.Contains(a.logText(), text) {
		select {
		case <-a.news:
		case <-timeout:
			a.t.Fatalf("no %q in the log after 30 s", text)
		}
	}
}

func (a *agent) logText() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.log.String()
}

// stop interrupts crau-otel, expects exit code 0 and returns the totals it logged.
func (a *agent) stop() totals {
	a.t.Helper()
	return a.stopBy(syscall.SIGINT)
}

func (a *agent) stopBy(signal syscall.Signal) totals {
	a.t.Helper()
	if err := a.cmd.Process.Signal(signal); err != nil {
		a.t.Fatal(err)
	}
	<-a.eof
	if err := a.cmd.Wait(); err != nil {
		a.t.Fatalf("crau-otel after %v: %v", signal, err)
	}
	for line := range strings.Lines(a.logText()) {
		if strings.Contains(line, "msg=totals") {
			return parseTotals(a.t, line)
		}
	}
	a.t.Fatal("crau-otel logged no totals")
	return nil
}

// totals has the numbers of the line with the totals, by key.
type totals map[string]int

var numberField = regexp.MustCompile(`([a-z_.]+)=(\d+)\b`)

func parseTotals(t *testing.T, line string) totals {
	t.Helper()
	found := make(totals)
	_, fields, _ := strings.Cut(line, "msg=totals")
	for _, m := range numberField.FindAllStringSubmatch(fields, -1) {
		n, err := strconv.Atoi(m[2])
		if err != nil {
			t.Fatal(err)
		}
		found[m[1]] = n
	}
	return found
}

// checkExact checks that every hit was exported or counted as lost, and that there were as many hits as given.
func (n totals) checkExact(t *testing.T, hits int) {
	t.Helper()
	sum := n["events.exported"] + n["events.session"]
	for key, value := range n {
		if strings.HasPrefix(key, "lost.") {
			sum += value
		}
	}
	if n["hits"] != hits || sum != hits {
		t.Errorf("hits %d, exported and counted %d, fired %d: %v", n["hits"], sum, hits, n)
	}
}

var firedField = regexp.MustCompile(`=(\d+)`)

// runSample runs the sample program and returns how many probes it fired.
func runSample(t *testing.T, args ...string) (hits int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, samplePath, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("sample %v: %v\n%s", args, err, out)
	}
	_, fired, ok := strings.Cut(string(out), "fired ")
	if !ok {
		t.Fatalf("sample %v did not say what it fired: %s", args, out)
	}
	for _, m := range firedField.FindAllStringSubmatch(fired, -1) {
		n, err := strconv.Atoi(m[1])
		if err != nil {
			t.Fatal(err)
		}
		hits += n
	}
	return hits
}

// sample is a sample program that runs until it is stopped.
type sample struct {
	cmd *exec.Cmd
}

func startSample(t *testing.T, args ...string) *sample {
	t.Helper()
	cmd := exec.Command(samplePath, args...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return &sample{cmd: cmd}
}

func (s *sample) stop(t *testing.T) {
	t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Wait(); err != nil {
		t.Errorf("sample after SIGTERM: %v", err)
	}
}
