// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"path/filepath"
	"time"

	"github.com/crau-otel/crau-otel/test/harness"
)

// Names of the subjects that have no agent.
const (
	noTracer = "none"
	emptyBPF = "empty"
)

// candidate is a version of crau-otel to measure.
type candidate struct {
	name, path string
}

// subject is one of the alternatives to compare: no tracer, the empty BPF program, or a version of crau-otel. Each
// subject has its own copies of the traced files, because probes are attached to files. So all subjects stay attached
// during the whole run, and rounds can be short.
type subject struct {
	name  string
	files []string
	agent *agent // nil if the subject has no agent

	detach func()
	totals harness.Totals // totals that the agent logged; set by closeSubjects
}

// newSubjects returns the subjects none and empty, and one subject for each candidate. Each is attached to copies of
// the files in a separate folder below dir.
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

// closeSubjects detaches the empty BPF program, ends the agents and stores their totals.
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

// spent calls f and returns the CPU time that the agent used from then on until it was idle again, or 0 if the subject
// has no agent.
func (s *subject) spent(quiet time.Duration, f func() error) (time.Duration, error) {
	if s.agent == nil {
		return 0, f()
	}
	before := s.agent.cpu()
	err := f()
	s.agent.settle(quiet)
	return s.agent.cpu() - before, err
}
