// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"bytes"
	"io"
	"os/exec"
	"sync"
	"testing"
	"time"
)

// stayTimeout is how long to wait for the trees of a program that keeps running. It is long because emulated processors
// are slow.
const stayTimeout = 3 * time.Minute

// StaySample runs the sample program and keeps it alive after its last probe until arrived returns, so that the agent
// can examine the living process. arrived must wait for the program's trees, and must fail the test if they do not
// arrive. StaySample returns how many probe hits the program reports.
func StaySample(t testing.TB, cmd *exec.Cmd, arrived func()) (hits int) {
	t.Helper()
	cmd.Args = append(cmd.Args, "--stay")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	StartProgram(t, cmd)
	arrived()
	if err := stdin.Close(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("sample %v: %v\n%s", cmd.Args[1:], err, &out)
	}
	if hits, err = ParseFired(out.String()); err != nil {
		t.Fatal(err)
	}
	return hits
}

// WaitTrees waits until the agent has printed n trees of a service as JSON. Trees are counted by their root spans.
func (a *TestAgent) WaitTrees(service string, n int) {
	a.t.Helper()
	a.WaitPrinted(func(spans []*Span) bool {
		found := 0
		for _, s := range spans {
			if s.Parent == "" && s.Resource["service.name"] == service {
				found++
			}
		}
		return found >= n
	})
}

// WaitPrinted waits until enough returns true for the spans that the agent has printed as JSON so far.
func (a *TestAgent) WaitPrinted(enough func([]*Span) bool) {
	a.t.Helper()
	timeout := time.After(stayTimeout)
	for {
		spans, err := ParseConsole(a.output.lines())
		if err != nil {
			a.t.Fatal(err)
		}
		if enough(spans) {
			return
		}
		select {
		case <-a.output.grown:
		case <-a.eof:
			a.t.Fatalf("wait for spans: crau-otel has ended after %d", len(spans))
		case <-timeout:
			a.t.Fatalf("wait for spans: %d after %s are not enough", len(spans), stayTimeout)
		}
	}
}

// output is what an agent has printed to its standard output so far.
type output struct {
	mu    sync.Mutex
	text  bytes.Buffer
	grown chan struct{} // receives an element when the text has grown
}

var _ io.Writer = (*output)(nil)

// Write implements [io.Writer].
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n, err := o.text.Write(p)
	select {
	case o.grown <- struct{}{}:
	default:
	}
	return n, err
}

// lines returns a copy of all complete lines of the text.
func (o *output) lines() []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	b := o.text.Bytes()
	return bytes.Clone(b[:bytes.LastIndexByte(b, '\n')+1])
}

// all returns a copy of the whole text.
func (o *output) all() []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	return bytes.Clone(o.text.Bytes())
}
