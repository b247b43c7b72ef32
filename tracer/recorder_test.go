// SPDX-License-Identifier: Apache-2.0

package tracer_test

import (
	"context"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/crau-otel/crau-otel/test/harness"
	"github.com/crau-otel/crau-otel/tracer"
	"github.com/crau-otel/crau-otel/tracer/event"
)

// recorder is a handler that keeps copies of all events.
type recorder struct {
	mu     sync.Mutex
	events []event.Event
	ticks  []uint64
	news   chan struct{} // signals new events
}

func newRecorder() *recorder { return &recorder{news: make(chan struct{}, 1)} }

func (r *recorder) Handle(ev *event.Event) {
	kept := *ev
	kept.Pairs = slices.Clone(ev.Pairs)
	for i := range kept.Pairs {
		kept.Pairs[i].Key = slices.Clone(kept.Pairs[i].Key)
		kept.Pairs[i].Value = slices.Clone(kept.Pairs[i].Value)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, kept)
	r.tell()
}

func (r *recorder) Tick(now uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ticks = append(r.ticks, now)
	r.tell()
}

func (r *recorder) tell() {
	select {
	case r.news <- struct{}{}:
	default:
	}
}

// wait waits until enough returns true for the events and ticks so far. what describes them in the error message.
func (r *recorder) wait(t *testing.T, what string, enough func(events []event.Event, ticks []uint64) bool) {
	t.Helper()
	timeout := time.After(20 * time.Second)
	for {
		r.mu.Lock()
		ok := enough(r.events, r.ticks)
		r.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-r.news:
		case <-timeout:
			t.Fatalf("no %s in 20 s", what)
		}
	}
}

// of returns the events of a process.
func (r *recorder) of(pid int) []event.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	var events []event.Event
	for _, ev := range r.events {
		if int(ev.PID) == pid {
			events = append(events, ev)
		}
	}
	return events
}

func newTracer(t testing.TB, cfg tracer.Config) *tracer.Tracer {
	t.Helper()
	harness.RequireBPF(t)
	tr, err := tracer.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tr.Close(); err != nil {
			t.Error(err)
		}
	})
	return tr
}

// start calls Run and returns its result in a channel.
func start(ctx context.Context, tr *tracer.Tracer, h tracer.Handler) <-chan error {
	done := make(chan error, 1)
	go func() { done <- tr.Run(ctx, h) }()
	return done
}

// ended waits until Run has returned nil.
func ended(t testing.TB, done <-chan error) {
	t.Helper()
	select {
	case err := <-done:
		if err != nil {
			t.Errorf("Run: %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("Run has not returned after 20 s")
	}
}

var firedField = regexp.MustCompile(`=(\d+)`)

// runSample runs a program and returns its process id and the number of probes that it reports to have fired.
func runSample(t *testing.T, path string, args ...string) (pid int, hits uint64) {
	t.Helper()
	cmd := exec.Command(path, args...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, out)
	}
	_, fired, _ := strings.Cut(string(out), "fired ")
	for _, m := range firedField.FindAllStringSubmatch(fired, -1) {
		var n uint64
		if _, err := fmt.Sscan(m[1], &n); err != nil {
			t.Fatal(err)
		}
		hits += n
	}
	if hits == 0 {
		t.Fatalf("%v fired nothing: %s", cmd, out)
	}
	return cmd.Process.Pid, hits
}

// expected reads a golden file of examples/include, which contains the probes of the sample program as a debugger saw
// them. Unlike the debugger, the tracer does not distinguish the data probes, and truncates blobs.
func expected(t *testing.T, name string) []string {
	t.Helper()
	text, err := os.ReadFile("../examples/include/testdata/sample-" + name + ".golden")
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for line := range strings.Lines(string(text)) {
		fields := strings.SplitN(strings.TrimSpace(line), " ", 2)
		kind := "data "
		if strings.HasPrefix(fields[0], "new_context") {
			kind = "new_context "
		}
		lines = append(lines, kind+longHex.ReplaceAllString(fields[1], "$1"))
	}
	return lines
}

var longHex = regexp.MustCompile(fmt.Sprintf(`(\b[0-9a-f]{%d})[0-9a-f]+`, 2*maxValue))

// seen formats events like the lines of the golden files.
func seen(events []event.Event) []string {
	contexts := make(map[uint64]int)
	context := func(v uint64) string {
		if v == event.NoParent {
			return "-"
		}
		if contexts[v] == 0 {
			contexts[v] = len(contexts) + 1
		}
		return fmt.Sprintf("c%d", contexts[v])
	}
	var lines []string
	for _, ev := range events {
		line := "data " + context(ev.Context)
		if ev.Kind == event.NewContext {
			line = "new_context " + context(ev.Context) + " " + context(ev.Parent)
		}
		for _, p := range ev.Pairs {
			switch p.Type {
			case event.Word:
				line += fmt.Sprintf(" %s=%d", p.Key, p.Word)
			case event.String:
				line += fmt.Sprintf(" %s=%q", p.Key, p.Value)
			case event.Blob:
				line += fmt.Sprintf(" %s=%s", p.Key, hex.EncodeToString(p.Value))
			}
		}
		lines = append(lines, line)
	}
	return lines
}
