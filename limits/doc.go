// SPDX-License-Identifier: Apache-2.0

// Package limits counts what owners lose because of limits, and decides when the losses are logged.
//
// Everything that the agent holds is bounded, and each owner has a share of each limit. All code that enforces a limit
// reports the losses to one [Monitor]:
//
//	if count, due := m.Reached(limits.Files, owner, 1); due {
//		log.Warn("files with probes left out", "owner", owner.Name, "count", count)
//	}
//
// The Monitor counts the losses by limit and by class of owner; the metric crau_otel.limits.reached exports the counts.
// It also decides when a log line is due: immediately when an owner reaches a limit, then at growing intervals for as
// long as the owner keeps reaching it. Each owner has its own log lines, so that one owner cannot suppress the warnings
// about another. docs/limits.md lists all limits.
//
// This package does not enforce any limit itself.
package limits
