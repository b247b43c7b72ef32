// SPDX-License-Identifier: Apache-2.0

// Package agent is the run-time of crau-otel: everything that crau-otel run does, startable in the process of a test.
//
// [New] checks the configuration and loads the BPF program. [Agent.Run] then goes through the life of a run:
//
//	discovery finds files with probes ─ package attach attaches their sites
//	the tracer reads the ring ─ handler ─ mapper ─ finished trees ─ metrics and export queue
//
// When its context ends, Run detaches the sites, reads what is left in the ring, ends all trees, exports them within
// shutdown.timeout, and logs the totals, which account for every hit.
//
// The package has no state outside of an [Agent], except for two things that belong to the process: its user, if the
// key user is set, and OpenTelemetry's error handler.
package agent
