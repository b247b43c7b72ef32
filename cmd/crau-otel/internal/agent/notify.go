// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"log/slog"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// notify reports a state to the service manager, as in sd_notify(3). It does nothing if no service manager started the
// agent.
func notify(log *slog.Logger, state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		log.Warn("service manager not notified", "state", state, "error", err)
	}
}

// notifyReloading reports that a reload begins. The state READY=1 reports its end.
func notifyReloading(log *slog.Logger) {
	notify(log, daemon.SdNotifyReloading+"\n"+daemon.SdNotifyMonotonicUsec())
}

// feedWatchdog reports that the agent is alive, twice as often as the service manager requires, until ctx is done.
// While the handler is stalled, it reports nothing, so that the service manager restarts the agent.
func feedWatchdog(ctx context.Context, h *handler, log *slog.Logger) {
	limit, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		log.Warn("watchdog not fed: its interval is unreadable", "error", err)
	}
	if err != nil || limit == 0 {
		return
	}
	tick := time.NewTicker(limit / 2)
	defer tick.Stop()
	for {
		if stalled := h.stalled(); stalled < limit/2 {
			notify(log, daemon.SdNotifyWatchdog)
		} else {
			log.Error("watchdog not fed: no event was handled and no clock tick seen", "for", stalled)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
