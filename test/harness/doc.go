// SPDX-License-Identifier: Apache-2.0

// Package harness starts what tests and benchmarks need: crau-otel, an OTLP receiver and programs with probes.
//
// An Agent is a running crau-otel. Its configuration does not depend on the environment, and it traces copies of
// programs, so that agents of several tests run in parallel without seeing each other's events. A Receiver is an OTLP
// server that stores what it receives and answers according to a script. Both have two forms: NewAgent and NewReceiver
// return errors, for programs such as test/bench; Start and Receive end with a test and fail it instead.
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
// Tests of packages below cmd that attach probes in their own process use File instead, and need no Agent.
package harness
