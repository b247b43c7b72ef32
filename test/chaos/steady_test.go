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

const steadyRate = 5 // pairs of handshakes a second that the sample makes

// steady is the program testdata/steady.c, which runs through all lives of the agent, and the sample, which makes its
// handshakes once in each life.
type steady struct {
	t       *testing.T
	cmd     *exec.Cmd
	path    string // of the program
	numbers string // path of its file with the last number

	sample string
	pairs  int // of handshakes that the sample made in all lives

	windows []window
}

// window is the part of a life that must arrive whole: the steps from first to last.
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

// last returns the number of the last step that was reported whole, or 0 before the first.
func (s *steady) last() int {
	b, err := os.ReadFile(s.numbers)
	if err != nil || len(b) < 8 {
		return 0
	}
	return int(binary.NativeEndian.Uint64(b))
}

// begin marks that all files are attached, so that all steps must arrive from now on.
func (s *steady) begin(life int) {
	s.windows = append(s.windows, window{life: life, first: s.last() + 2}) // the next one may have begun
}

// end marks that steps so far must arrive, and later ones need not. It returns the last number.
func (s *steady) end() int {
	w := &s.windows[len(s.windows)-1]
	w.last = s.last()
	return w.last
}

// handshakes makes pairs of handshakes with the sample. It returns a function that waits for its end.
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

// arrived waits until the trees of the steps up to a number, and of all handshakes, have arrived.
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
