// SPDX-License-Identifier: Apache-2.0

// Package agent is the tracing agent that the commands run and exec start. Tests can start it within their own process.
//
// [New] checks the configuration and loads the BPF program. [Agent.Run] then runs this pipeline:
//
//	discovery finds files with probes ─ package attach attaches their sites
//	the tracer reads the ring ─ handler ─ mapper ─ finished trees ─ metrics and export queue
//
// When the context of Run is done, Run detaches the sites, reads the rest of the ring, ends all trees, exports them
// within shutdown.timeout, and logs the totals, which account for every hit.
//
// All state is in an [Agent], except what the whole process shares: its user and capabilities, its sandbox, and
// OpenTelemetry's error handler.
package agent
