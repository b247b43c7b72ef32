// SPDX-License-Identifier: Apache-2.0

//go:build chaos

package chaos

import (
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/crau-otel/crau-otel/test/harness"
)

const steadyRate = 5 // pairs of handshakes per second that the sample program makes

// steady consists of two programs. testdata/steady.c runs through all lives of the agent. The sample program runs once
// in each life and makes handshakes at a steady rate.
type steady struct {
	t       *testing.T
	cmd     *exec.Cmd
	path    string // path of the steady program
	numbers string // path of the file in which the steady program stores the number of its last step

	sample string
	pairs  int // number of pairs of handshakes that the sample program made in all lives

	windows []window
}

// window is a range of steps, from first to last, that must arrive whole in one life.
type window struct{ life, first, last int }

func startSteady(t *testing.T, p *programs) *steady {
	t.Helper()
	s := &steady{
		t: t, path: harness.Copy(t, p.steady, filepath.Join(p.dir, fmt.Sprintf("steady-%d", os.Getpid()))),
		sample:  harness.Copy(t, p.sample, filepath.Join(p.dir, fmt.Sprintf("paced-%d", os.Getpid()))),
		numbers: filepath.Join(p.dir, "numbers"),
	}
	s.cmd = harness.StartProgram(t, exec.Command(s.path, s.numbers))
	for until := time.Now().Add(30 * time.Second); s.last() == 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatal("the steady program reports nothing")
		}
	}
	return s
}

// last returns the number of the last step that was reported whole, or 0 if there is none yet.
func (s *steady) last() int {
	b, err := os.ReadFile(s.numbers)
	if err != nil || len(b) < 8 {
		return 0
	}
	return int(binary.NativeEndian.Uint64(b))
}

// begin starts a window: all files are attached, so all steps from now on must arrive.
func (s *steady) begin(life int) {
	s.windows = append(s.windows, window{life: life, first: s.last() + 2}) // step last+1 may already have begun
}

// end ends the window of the current life with the last step so far, and returns its number. Later steps need not
// arrive.
func (s *steady) end() int {
	w := &s.windows[len(s.windows)-1]
	w.last = s.last()
	return w.last
}

// handshakes starts the sample program, which makes pairs of handshakes. It returns a function that waits until the
// program has ended.
func (s *steady) handshakes(pairs int) (wait func()) {
	s.t.Helper()
	s.pairs += pairs
	cmd := harness.StartProgram(s.t, exec.Command(s.sample, "--count", strconv.Itoa(pairs), "--rate", strconv.Itoa(steadyRate)))
	return func() {
		s.t.Helper()
		if err := cmd.Wait(); err != nil {
			s.t.Errorf("sample: %v", err)
		}
	}
}

// arrived waits until the trees of all steps up to step, and of all handshakes, have arrived.
func (s *steady) arrived(r *harness.Receiver, step int) error {
	const patience = time.Minute
	var last, spans int
	for until := time.Now().Add(patience); time.Now().Before(until); time.Sleep(200 * time.Millisecond) {
		last, spans = 0, 0
		for _, span := range harness.Unique(r.Spans()) {
			switch span.Resource["service.name"] {
			case filepath.Base(s.path):
				if n := number(span); n > last {
					last = n
				}
			case filepath.Base(s.sample):
				spans++
			}
		}
		if last >= step && spans >= s.pairs*harness.SpansPerPair {
			return nil
		}
	}
	return fmt.Errorf("after %v, the steps up to %d of %d have arrived, and %d spans of %d pairs of handshakes", patience, last,
		step, spans, s.pairs)
}
