// SPDX-License-Identifier: Apache-2.0

// Package limits counts what limits cost, and decides when that is logged.
//
// Everything that the agent holds is bounded, and each owner has a share of each bound. The code that enforces a limit
// reports to the one [Monitor]:
//
//	if count, due := m.Reached(limits.Files, owner, 1); due {
//		log.Warn("files with probes left out", "owner", owner.Name, "count", count)
//	}
//
// The Monitor counts by limit and class of owner; the metric crau_otel.limits.reached shows the counts. It also decides
// when a log line is due: immediately when an owner reaches a limit, then at growing intervals for as long as that
// continues. Each owner has its own log lines, so that one owner cannot suppress the warnings about another.
// docs/limits.md lists all limits.
//
// The package enforces nothing.
package limits
