// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"github.com/crau-otel/crau-otel/test/harness"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run() (err error) {
	cfg, err := flags()
	if err != nil {
		return err
	}
	debug.SetGCPercent(1000) // so that the receiver in this program takes little CPU time from the measured programs
	if os.Geteuid() != 0 {
		return errors.New("attaching probes needs root")
	}
	if cfg.dir, err = os.MkdirTemp("", "crau-otel-bench"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(cfg.dir)) }()
	if len(cfg.agents) == 0 {
		path := filepath.Join(cfg.dir, "bin", "crau-otel") // in a folder without traced files
		if err := harness.BuildAgent(cfg.root, path); err != nil {
			return err
		}
		cfg.agents = []candidate{{"crau-otel", path}}
	}

	r, err := harness.NewReceiver(harness.ReceiverConfig{CountOnly: true})
	if err != nil {
		return err
	}
	defer r.Close()
	rep := &report{Machine: machine(), Time: time.Now().UTC().Format(time.RFC3339), quick: cfg.quick}
	failed := rep.measure(cfg, r)
	cfg.progress("", 0, 0)
	rep.judge(cfg)
	rep.print(os.Stdout, cfg)
	if err := errors.Join(failed, write(cfg.out, rep)); err != nil {
		return err
	}
	if cfg.strict && !rep.kept() {
		return errors.New("a limit is not kept")
	}
	return nil
}

// partNames are the names of the parts, in the order of measuring. The last one, soak, only runs alone.
var partNames = []string{"hits", "loads", "gnutls", "wire", "exec", "soak"}

// measure measures the selected parts. If a part fails or cannot be measured, measure continues with the next one.
func (r *report) measure(cfg config, receiver *harness.Receiver) error {
	measures := map[string]func() error{
		"hits":   func() (err error) { r.Hits, err = measureHits(cfg, receiver); return err },
		"loads":  func() (err error) { r.Loads, err = measureLoads(cfg); return err },
		"gnutls": func() (err error) { r.GnuTLS, err = measureHandshakes(cfg, receiver); return err },
		"wire":   func() (err error) { r.Wire, err = measureWire(cfg, receiver); return err },
		"exec":   func() (err error) { r.Starts, err = measureStarts(cfg); return err },
		"soak":   func() (err error) { r.Soak, err = measureSoak(cfg); return err },
	}
	before := usedSince(usage{})
	var failed []error
	for _, name := range partNames {
		if !cfg.measures(name) {
			continue
		}
		err := measures[name]()
		var missing missingError
		switch {
		case errors.As(err, &missing):
			r.Missing = append(r.Missing, name+": "+missing.Error())
		case err != nil:
			r.Missing = append(r.Missing, name+": "+err.Error())
			failed = append(failed, fmt.Errorf("measure %s: %w", name, err))
		}
	}
	r.Others = usedSince(before)
	return errors.Join(failed...)
}

func write(file string, rep *report) error {
	b, err := json.MarshalIndent(rep, "", "  ")
	if err != nil {
		return fmt.Errorf("write results: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil { //nolint:gosec // anyone may read it
		return err
	}
	return os.WriteFile(file, append(b, '\n'), 0o644) //nolint:gosec // anyone may read it
}
