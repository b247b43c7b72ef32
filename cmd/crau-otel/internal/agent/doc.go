// SPDX-License-Identifier: Apache-2.0

// Package agent is the run-time of crau-otel: everything that the command run does. Tests can start it in their own
// process.
//
// [New] checks the configuration and loads the BPF program. [Agent.Run] then runs this pipeline:
//
//	discovery finds files with probes ─ package attach attaches their sites
//	the tracer reads the ring ─ handler ─ mapper ─ finished trees ─ metrics and export queue
//
// When its context ends, Run detaches the sites, reads the rest of the ring, ends all trees, exports them within
// shutdown.timeout, and logs the totals, which account for every hit.
//
// The package has no state outside an [Agent], with two exceptions that belong to the process: its user, if the key
// user is set, and OpenTelemetry's error handler.
package agent
