// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"fmt"
	"strings"

	"github.com/coreos/go-systemd/v22/daemon"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/config"
)

// Reload makes the agent read its configuration again, as soon as Run has attached the files that it found at start.
// Keys that need no restart take effect. An invalid configuration changes nothing. Reload does not block.
func (a *Agent) Reload() {
	select {
	case a.reloads <- struct{}{}:
	default: // the pending reload will read the newest configuration
	}
}

// serveReloads reloads the configuration for each request, until ctx is done.
func (a *Agent) serveReloads(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.reloads:
			a.reload()
		}
	}
}

func (a *Agent) reload() {
	notifyReloading(a.log)
	defer notify(a.log, daemon.SdNotifyReady)
	next, err := a.load()
	if err != nil {
		a.log.Error("configuration not reloaded", "error", err)
		return
	}
	now, changed, restart := a.cfg.Reloaded(next)
	if err := a.apply(now); err != nil {
		a.log.Error("configuration not reloaded", "error", err)
		return
	}
	a.cfg = now
	files, err := a.pipeline.reconnect()
	if err != nil {
		a.log.Warn("certificates not reloaded; connections keep the previous ones", "error", err)
	}
	a.log.Info("configuration reloaded", "changed", strings.Join(changed, ", "), "certificates", strings.Join(files, ", "))
	if restart != nil {
		a.log.Warn("some changes need a restart", "keys", strings.Join(restart, ", "))
	}
}

func (a *Agent) apply(cfg config.Config) error {
	if err := a.discovery.Reload(DiscoveryRules(cfg)); err != nil {
		return fmt.Errorf("discovery: %w", err)
	}
	if err := a.pipeline.reconfigure(cfg); err != nil {
		return err
	}
	if err := a.tracer.SetScopes(cfg.Scopes); err != nil {
		return fmt.Errorf("scopes: %w", err)
	}
	a.level.Set(cfg.Log.SlogLevel())
	return nil
}
