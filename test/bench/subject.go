// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"path/filepath"
	"time"

	"github.com/crau-otel/crau-otel/test/harness"
)

// Names of the subjects without an agent.
const (
	noTracer = "none"
	emptyBPF = "empty"
)

// candidate is a crau-otel to measure.
type candidate struct {
	name, path string
}

// subject is one of the alternatives to compare. Each has separate copies of the traced files, because probes are
// attached to files. All subjects therefore stay attached during a run, and rounds can be short.
type subject struct {
	name  string
	files []string
	agent *agent // nil for none and empty

	detach func()
	totals harness.Totals // of the agent, once closed
}

// newSubjects returns the subjects none and empty, and one for each candidate, attached to copies of the files in
// separate folders below dir.
func newSubjects(dir string, files []string, candidates []candidate, r *harness.Receiver) (_ []*subject, err error) {
	all := []*subject{{name: noTracer}, {name: emptyBPF}}
	defer func() {
		if err != nil {
			err = errors.Join(err, closeSubjects(all))
		}
	}()
	for _, c := range candidates {
		all = append(all, &subject{name: c.name})
	}
	for i, s := range all {
		for _, file := range files {
			to := filepath.Join(dir, s.name, filepath.Base(file))
			if err := harness.CopyFile(file, to); err != nil {
				return nil, err
			}
			s.files = append(s.files, to)
		}
		switch s.name {
		case noTracer:
		case emptyBPF:
			s.detach, err = attachEmpty(s.files)
		default:
			s.agent, err = startAgent(candidates[i-2].path, r, s.files)
		}
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// closeSubjects detaches everything, ends the agents and stores their totals.
func closeSubjects(all []*subject) error {
	var errs []error
	for _, s := range all {
		if s.detach != nil {
			s.detach()
		}
		if s.agent != nil {
			var err error
			s.totals, err = s.agent.Stop()
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// spent returns the agent's CPU time while f runs and until the agent has settled; 0 without an agent.
func (s *subject) spent(quiet time.Duration, f func() error) (time.Duration, error) {
	if s.agent == nil {
		return 0, f()
	}
	before := s.agent.cpu()
	err := f()
	s.agent.settle(quiet)
	return s.agent.cpu() - before, err
}
