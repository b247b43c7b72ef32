// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/crau-otel/crau-otel/test/harness"
)

// handshakes are the results for one kind of key in the part gnutls, which makes TLS handshakes with GnuTLS. One thread
// of the traced program is both client and server.
type handshakes struct {
	Key       string                       `json:"key"` // kind of key in the server's certificate
	Count     int                          `json:"handshakes_per_round"`
	PerEvents float64                      `json:"events_per_handshake"`
	PerSpans  float64                      `json:"spans_per_handshake"`
	Subjects  map[string]*handshakeFigures `json:"subjects"`
	Lost      map[string]map[string]int    `json:"lost"`
}

type handshakeFigures struct {
	Traced series `json:"traced_us_per_handshake"` // CPU time of the traced program
	Agent  series `json:"agent_us_per_handshake,omitzero"`
	// Over is the additional CPU time of the traced program plus the agent's CPU time, relative to the CPU time of the
	// untraced program in the same round.
	Over       series `json:"overhead_percent,omitzero"`
	TracedOver series `json:"traced_overhead_percent,omitzero"`
}

const gnutlsLibrary = "libgnutls.so.30"

// keys are kinds of keys in the server's certificate, as values of the program's option --key. Tracing costs the same
// for all kinds. ECDSA (P-256) has the cheapest handshakes in common use, so with it the relative cost of tracing is
// highest. Handshakes with RSA (2048 bits) take two and a half times as long.
var keys = []string{"ecdsa", "rsa"}

// measureHandshakes measures handshakes with each kind of key. It returns a missingError if there is no GnuTLS with
// probes.
func measureHandshakes(cfg config, r *harness.Receiver) (all []*handshakes, err error) {
	library, err := filepath.EvalSymlinks(filepath.Join(cfg.gnutls, "lib", gnutlsLibrary))
	if errors.Is(err, os.ErrNotExist) {
		return nil, missingError(fmt.Sprintf("no GnuTLS with probes in %s; examples/gnutls/build.sh %[1]s builds one", cfg.gnutls))
	}
	if err != nil {
		return nil, err
	}
	named := filepath.Join(cfg.dir, "gnutls", gnutlsLibrary)
	if err := harness.CopyFile(library, named); err != nil {
		return nil, err
	}
	for _, key := range keys {
		h, err := measureKey(cfg, r, key, named)
		if err != nil {
			return nil, fmt.Errorf("handshakes with %s: %w", key, err)
		}
		all = append(all, h)
	}
	return all, nil
}

func measureKey(cfg config, r *harness.Receiver, key, library string) (*handshakes, error) {
	subjects, err := newSubjects(filepath.Join(cfg.dir, "gnutls", key), []string{library}, cfg.agents, r)
	if err != nil {
		return nil, err
	}
	h := &handshakes{
		Key: key, Count: cfg.handshakes,
		Subjects: make(map[string]*handshakeFigures), Lost: make(map[string]map[string]int),
	}
	if err := h.rounds(cfg, subjects); err != nil {
		_ = closeSubjects(subjects)
		return nil, err
	}
	if err := closeSubjects(subjects); err != nil {
		return nil, err
	}
	for _, s := range subjects[2:] {
		h.Lost[s.name] = s.totals.Lost()
		all := float64(h.Count * (cfg.gnutlsRounds + 1))
		h.PerEvents, h.PerSpans = float64(s.totals["hits"])/all, float64(s.totals["spans"])/all
	}
	return h, nil
}

func (h *handshakes) rounds(cfg config, subjects []*subject) error {
	for _, s := range subjects {
		h.Subjects[s.name] = &handshakeFigures{}
	}
	for round := -1; round < cfg.gnutlsRounds; round++ {
		cfg.progress("gnutls "+h.Key, round, cfg.gnutlsRounds)
		traced, agents := make(map[string]float64), make(map[string]float64)
		for i := range subjects {
			s := subjects[(i+round+1)%len(subjects)]
			var cpu time.Duration
			spent, err := s.spent(200*time.Millisecond, func() (err error) {
				cpu, err = shakeHands(cfg, h.Key, filepath.Dir(s.files[0]))
				if s.agent != nil {
					time.Sleep(500 * time.Millisecond) // the last trees end with the program, and are exported
				}
				return err
			})
			if err != nil {
				return err
			}
			traced[s.name] = float64(cpu.Microseconds()) / float64(h.Count)
			agents[s.name] = float64(spent.Microseconds()) / float64(h.Count)
		}
		if round < 0 {
			continue
		}
		for _, s := range subjects {
			f := h.Subjects[s.name]
			f.Traced.add(traced[s.name])
			if s.name == noTracer {
				continue
			}
			f.TracedOver.add(100 * (traced[s.name]/traced[noTracer] - 1))
			if s.agent != nil {
				f.Agent.add(agents[s.name])
				f.Over.add(100 * ((traced[s.name]+agents[s.name])/traced[noTracer] - 1))
			}
		}
	}
	return nil
}

// shakeHands makes handshakes with the GnuTLS in dir. It returns their CPU time without that for making certificates.
func shakeHands(cfg config, key, dir string) (time.Duration, error) {
	cmd := exec.Command(filepath.Join(cfg.gnutls, "bin/handshakes"), "--wait", "--key", key,
		"--count", strconv.Itoa(cfg.handshakes))
	cmd.Env = append(os.Environ(), "LD_LIBRARY_PATH="+dir)
	in, err := cmd.StdinPipe()
	if err != nil {
		return 0, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	out := bufio.NewReader(stdout)
	line, err := out.ReadString('\n')
	if err == nil && strings.TrimSpace(line) != "waiting" {
		err = fmt.Errorf("it printed %q", line)
	}
	var before time.Duration
	if err == nil {
		before, err = harness.CPUTime(cmd.Process.Pid)
	}
	if err == nil {
		_, err = io.WriteString(in, "\n")
	}
	if err == nil {
		_, err = io.Copy(io.Discard, out)
	}
	if err := errors.Join(err, cmd.Wait()); err != nil {
		return 0, fmt.Errorf("handshakes: %w", err)
	}
	usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return 0, errors.New("handshakes: no resource usage")
	}
	return time.Duration(usage.Utime.Nano()+usage.Stime.Nano()) - before, nil
}

func (h *handshakes) print(p printer, cfg config) {
	p("\nGnuTLS handshakes with %s, both ends, %.1f events and %.1f spans each: CPU us a handshake, %% over untraced: median (quartiles)\n",
		h.Key, h.PerEvents, h.PerSpans)
	p("subject\ttraced us\tagent us\ttraced over %%\ttraced and agent over %%\tlost\n")
	for _, name := range []string{noTracer, emptyBPF} {
		f := h.Subjects[name]
		p("%s\t%.0f (%.0f-%.0f)\t\t%s\t\t\n", name, f.Traced.median(), f.Traced.at(0.25), f.Traced.at(0.75), spread(f.TracedOver))
	}
	for _, c := range cfg.agents {
		f := h.Subjects[c.name]
		p("%s\t%.0f (%.0f-%.0f)\t%.1f\t%s\t%s\t%s\n", c.name, f.Traced.median(), f.Traced.at(0.25), f.Traced.at(0.75),
			f.Agent.median(), spread(f.TracedOver), spread(f.Over), reasons(h.Lost[c.name]))
	}
}
