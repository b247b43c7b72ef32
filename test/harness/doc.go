// SPDX-License-Identifier: Apache-2.0

// Package harness starts what tests and benchmarks need: crau-otel, an OTLP receiver and programs with probes.
//
// An Agent is a running crau-otel. It has a configuration of its own, which the environment does not change, and traces
// copies of programs, so that agents of several tests run beside each other without seeing each other's events. A
// Receiver is an OTLP server that keeps what it is sent and answers as a script says. Both have two forms: NewAgent and
// NewReceiver return errors, for programs such as test/bench; Start and Receive end with a test and fail it instead.
//
//	receiver := harness.Receive(t, harness.ReceiverConfig{})
//	sample := harness.Sample(t, "../..")
//	agent := harness.Start(t, harness.AgentConfig{
//		Path: agentPath,
//		Env:  []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + receiver.Endpoint()},
//		Args: []string{"--library", sample},
//	})
//	fired := harness.RunSample(t, sample, "--count", "2")
//	agent.Stop().CheckExact(t, fired)
//	roots := harness.Trees(t, receiver.Spans())
//
// Tests of packages below cmd attach probes in their own process with File instead, and need no Agent.
package harness
