// SPDX-License-Identifier: Apache-2.0

package main

import (
	"time"

	"github.com/crau-otel/crau-otel/test/harness"
)

// agent is a running crau-otel that exports to a receiver of this program.
type agent struct {
	*harness.Agent
}

// startAgent starts the crau-otel at path, makes it trace the files, and waits until it is ready.
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

// cpu returns the CPU time that the agent has used so far, or 0 if the agent has ended. In that case stopping the agent
// reports an error.
func (a *agent) cpu() time.Duration {
	d, _ := harness.CPUTime(a.PID())
	return d
}

// settle waits until crau-otel is idle, which means that it used less than 5% of a CPU during the time quiet, or until
// ten seconds have passed.
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
