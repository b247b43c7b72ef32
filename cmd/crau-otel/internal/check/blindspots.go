// SPDX-License-Identifier: Apache-2.0

package check

import (
	"log/slog"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/privileges"
)

// WarnAboutBlindSpots logs a warning if this process lacks something that discovery needs to see all processes and
// their files.
func WarnAboutBlindSpots(log *slog.Logger) {
	if !HostPIDs() {
		log.Warn("not in the host's PID namespace: discovery sees only the processes of this container; " +
			"run the container with the host's (docker run --pid host, hostPID in Kubernetes)")
	}
	held, err := privileges.Held()
	if err != nil {
		log.Warn("reading the capabilities failed; discovery may miss processes", "error", err)
		return
	}
	if missing := privileges.Missing(held, privileges.Discovery); missing != nil {
		log.Warn("discovery misses files of other users' processes; grant the capabilities or run as root",
			"missing", privileges.Names(missing))
	}
}
