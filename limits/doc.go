// SPDX-License-Identifier: Apache-2.0

// Package limits counts what limits cost, and decides when that is logged.
//
// Everything that the agent holds is bounded, and each bound has a share per owner. Whoever enforces a limit reports to
// the one [Monitor]:
//
//	if count, due := m.Reached(limits.Files, owner, 1); due {
//		log.Warn("files with probes left out", "owner", owner.Name, "count", count)
//	}
//
// The Monitor counts by limit and class of owner, which becomes the metric crau_otel.limits.reached. It says when a line is
// due: at once when an owner reaches a limit, and then ever more rarely for as long as that lasts. Each owner has lines of its
// own, so that nobody uses up the warning about somebody else. docs/limits.md has all limits.
//
// The package enforces nothing.
package limits
