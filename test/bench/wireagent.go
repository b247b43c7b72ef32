// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/crau-otel/crau-otel/test/harness"
)

// newWireAgent starts an agent that traces network connections.
func newWireAgent(c candidate, r *harness.Receiver) (*agent, error) {
	a, err := harness.NewAgent(harness.AgentConfig{
		Path: c.path, Args: []string{"--exporter", "otlp"},
		Env: []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + r.Endpoint(), "CRAU_WIRE_ENABLED=true"},
	})
	if err != nil {
		return nil, err
	}
	return &agent{a}, nil
}

// startWireAgent starts an agent that traces connections. It detaches the agent's BPF programs from the sockets and
// keeps them, so that they can be attached only in the rounds that measure this agent.
func startWireAgent(c candidate, r *harness.Receiver) (_ wireSubject, err error) {
	older, err := linksNow()
	if err != nil {
		return wireSubject{}, fmt.Errorf("list links: %w", err)
	}
	subject := wireSubject{agent: c.name}
	if subject.running, err = newWireAgent(c, r); err != nil {
		return wireSubject{}, err
	}
	if subject.programs, err = takeSockets(older); err != nil {
		_, stopErr := subject.running.Stop()
		return wireSubject{}, errors.Join(err, stopErr)
	}
	subject.running.settle(time.Second)
	return subject, nil
}

// wireSubject is one of the alternatives to compare: a set of BPF programs that are attached at sockets in a round.
type wireSubject struct {
	agent    string          // name of the agent; "" if there is none
	programs *socketPrograms // nil for no BPF programs
	running  *agent          // agent that reads what the BPF programs send; nil if there is none
}

func subjectOf(subjects []wireSubject, agent string) wireSubject {
	return subjects[slices.IndexFunc(subjects, func(s wireSubject) bool { return s.agent == agent })]
}
