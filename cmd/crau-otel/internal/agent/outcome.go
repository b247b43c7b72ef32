// SPDX-License-Identifier: Apache-2.0

package agent

import "github.com/crau-otel/crau-otel/cmd/crau-otel/internal/totals"

// Outcome is the result of a run.
type Outcome struct {
	Totals totals.Totals
	// Files is how many files with probes were attached at the end.
	Files int
	// Disabled is whether nothing was exported, since OTEL_SDK_DISABLED is true.
	Disabled bool
	// Wire is why connections were not examined; nil if they were.
	Wire error
}

// Outcome returns the result of the run, after Run has returned.
func (a *Agent) Outcome() Outcome { return a.outcome }

// Followed returns how many processes of the family of Config.Follow are alive.
func (a *Agent) Followed() (int, error) { return a.tracer.Followed() }
