// SPDX-License-Identifier: Apache-2.0

package main

import (
	"time"

	"github.com/crau-otel/crau-otel/test/harness"
)

// agent is a running crau-otel that exports to a receiver.
type agent struct {
	*harness.Agent
}

// startAgent starts the program at path on the files and waits until it is ready.
func startAgent(path string, r *harness.Receiver, files []string, args ...string) (*agent, error) {
	args = append([]string{"--exporter", "otlp"}, args...)
	for _, file := range files {
		args = append(args, "--library", file)
	}
	a, err := harness.NewAgent(harness.AgentConfig{
		Path: path, Args: args, Env: []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + r.Endpoint()},
	})
	if err != nil {
		return nil, err
	}
	return &agent{a}, nil
}

// cpu returns the CPU time used so far. It is 0 if the process has ended; stopping it then reports an error.
func (a *agent) cpu() time.Duration {
	d, _ := harness.CPUTime(a.PID())
	return d
}

// settle waits until crau-otel is idle: until it has used less than 5% of a CPU for a while.
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
