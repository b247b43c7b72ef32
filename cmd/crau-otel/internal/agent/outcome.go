// SPDX-License-Identifier: Apache-2.0

package agent

import "github.com/crau-otel/crau-otel/cmd/crau-otel/internal/totals"

// Outcome is the result of a run.
type Outcome struct {
	Totals totals.Totals
	// Files is the number of files with probes that were attached at the end.
	Files int
	// Disabled means that nothing was exported, because OTEL_SDK_DISABLED is true.
	Disabled bool
	// Wire is the reason why connections were not examined; nil if they were.
	Wire error
}

// Outcome returns the result of Run. It must be called after Run has returned.
func (a *Agent) Outcome() Outcome { return a.outcome }

// Followed returns the number of live processes in the family that [Config].Follow starts.
func (a *Agent) Followed() (int, error) { return a.tracer.Followed() }
