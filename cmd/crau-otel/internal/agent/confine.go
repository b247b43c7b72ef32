// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"fmt"
	"os"

	"github.com/moby/sys/capability"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/privileges"
	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/sandbox"
)

// lower switches to the configured user. If none is configured and the sandbox is enabled, an agent that runs as root
// gives up its ownership of root's files instead.
func (a *Agent) lower(onWire bool) error {
	switch {
	case a.cfg.User != "":
		if err := privileges.Drop(a.user, privileges.Keep(a.tracer.Multi(), a.cfg.Discovery.Enabled, onWire)); err != nil {
			return fmt.Errorf("become user %s: %w", a.cfg.User, err)
		}
	case a.cfg.Sandbox && os.Geteuid() == 0:
		var more privileges.Set
		if a.follow != 0 {
			more = privileges.Of(capability.CAP_KILL) // for signals to the command, which may run as another user
		}
		if err := privileges.YieldFiles(more); err != nil {
			a.warnUnconfined(err)
		}
	}
	return nil
}

// enterSandbox enters the sandbox and reports whether it did.
func (a *Agent) enterSandbox() bool {
	if !a.cfg.Sandbox {
		return false
	}
	a.tracer.TryNops() // loads a BPF program, which may be impossible in the sandbox
	if err := sandbox.Enter(sandbox.Config{
		Pins: a.attachments.Pins(), Signals: a.follow != 0,
		// Two things load BPF programs: attaching without uprobe_multi, and retryExecs, which runs while exec notifications
		// are unavailable.
		LoadPrograms: !a.tracer.Multi() || a.discovery.execs.Load() == nil,
	}); err != nil {
		a.warnUnconfined(err)
		return false
	}
	a.refusals.state.sandboxed.Store(true)
	return true
}

func (a *Agent) warnUnconfined(err error) {
	a.log.Warn("running without the whole sandbox; an attacker who takes over the agent could do more than the agent itself",
		"error", err)
}
