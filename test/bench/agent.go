// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// agent is a running crau-otel that exports to a receiver.
type agent struct {
	cmd   *exec.Cmd
	ready chan struct{}
	eof   chan struct{} // the log was read to its end

	mu  sync.Mutex
	log strings.Builder
}

// startAgent starts the program at path on the files and waits until it is ready.
func startAgent(path string, r *receiver, files []string, args ...string) (*agent, error) {
	args = append([]string{"run", "--exporter", "otlp"}, args...)
	if help, _ := exec.Command(path, "run", "--help").Output(); strings.Contains(string(help), "--discovery") {
		args = append(args, "--discovery", "false") // older ones have no such flag
	}
	for _, file := range files {
		args = append(args, "--library", file)
	}
	a := &agent{cmd: exec.Command(path, args...), ready: make(chan struct{}), eof: make(chan struct{})}
	a.cmd.Env = append(os.Environ(), "OTEL_EXPORTER_OTLP_ENDPOINT="+r.endpoint)
	stderr, err := a.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := a.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start crau-otel: %w", err)
	}
	go a.follow(stderr)
	select {
	case <-a.ready:
		return a, nil
	case <-a.eof:
	case <-time.After(30 * time.Second):
	}
	_ = a.cmd.Process.Kill()
	_ = a.cmd.Wait()
	return nil, fmt.Errorf("crau-otel did not become ready:\n%s", a.logText())
}

func (a *agent) follow(r io.Reader) {
	defer close(a.eof)
	var once sync.Once
	for sc := bufio.NewScanner(r); sc.Scan(); {
		a.mu.Lock()
		a.log.WriteString(sc.Text() + "\n")
		a.mu.Unlock()
		if strings.Contains(sc.Text(), "msg=ready") {
			once.Do(func() { close(a.ready) })
		}
	}
}

func (a *agent) logText() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.log.String()
}

func (a *agent) pid() int { return a.cmd.Process.Pid }

// cpu returns the CPU time used so far, 0 if the process is gone, which stop reports.
func (a *agent) cpu() time.Duration {
	d, _ := cpuTime(a.pid())
	return d
}

// settle waits until crau-otel has done all it has to: it used less than one in twenty of its time for a while.
func (a *agent) settle(quiet time.Duration) {
	const atMost = 10 * time.Second
	last := a.cpu()
	for deadline := time.Now().Add(atMost); time.Now().Before(deadline); {
		time.Sleep(quiet)
		now := a.cpu()
		if now-last < quiet/20 {
			return
		}
		last = now
	}
}

var numberField = regexp.MustCompile(`([a-z_.]+)=(\d+)\b`)

// stop interrupts crau-otel and returns the totals that it logs.
func (a *agent) stop() (map[string]uint64, error) {
	if err := a.cmd.Process.Signal(syscall.SIGINT); err != nil {
		return nil, fmt.Errorf("interrupt crau-otel: %w", err)
	}
	timer := time.AfterFunc(30*time.Second, func() { _ = a.cmd.Process.Kill() })
	defer timer.Stop()
	<-a.eof
	if err := a.cmd.Wait(); err != nil {
		return nil, fmt.Errorf("crau-otel: %w\n%s", err, a.logText())
	}
	for line := range strings.Lines(a.logText()) {
		_, rest, ok := strings.Cut(line, "msg=totals")
		if !ok {
			continue
		}
		totals := make(map[string]uint64)
		for _, m := range numberField.FindAllStringSubmatch(rest, -1) {
			n, err := strconv.ParseUint(m[2], 10, 64)
			if err != nil {
				return nil, err
			}
			totals[m[1]] = n
		}
		return totals, nil
	}
	return nil, fmt.Errorf("crau-otel logged no totals:\n%s", a.logText())
}

// losses returns the counted losses of totals by reason, without those that were none.
func losses(totals map[string]uint64) map[string]uint64 {
	lost := make(map[string]uint64)
	for key, n := range totals {
		if reason, ok := strings.CutPrefix(key, "lost."); ok && n > 0 {
			lost[reason] = n
		}
	}
	return lost
}
