// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/check"
	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/config"
	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/identity"
	"github.com/crau-otel/crau-otel/limits"
	"github.com/crau-otel/crau-otel/probes/discover"
	"github.com/crau-otel/crau-otel/tracer/execs"
)

// discovery finds files with probes and passes them to the attachments.
type discovery struct {
	*discover.Discoverer
	execs *execs.Watch // nil if exec notifications are unavailable
	code  *identity.Code
}

// newDiscovery returns a discovery that has not searched yet. From now on it is notified of executed programs.
func newDiscovery(
	cfg config.Config, attached *attachments, code *identity.Code, monitor *limits.Monitor, log *slog.Logger,
) (*discovery, error) {
	d := &discovery{code: code}
	found, err := discover.New(discover.Config{
		Log: log, Found: attached.add, Gone: attached.remove, Changed: d.changed, Rules: discoveryRules(cfg),
		Limits: monitor,
	})
	if err != nil {
		return nil, fmt.Errorf("discovery: %w", err)
	}
	d.Discoverer = found
	attached.onOverwrite(found.Reread)
	if cfg.Discovery.Enabled {
		check.WarnAboutBlindSpots(log)
	}
	if d.execs, err = execs.Start(found.Notify, log); err != nil {
		log.Warn("exec notifications unavailable; new programs will be found on the next pass", "error", err)
	}
	return d, nil
}

// changed returns the processes whose executable memory changed since the last call.
func (d *discovery) changed(visit func(pid uint32)) error {
	if d.execs == nil {
		return errors.ErrUnsupported
	}
	return d.execs.Changed(func(pid uint32) {
		d.code.Changed(pid)
		visit(pid)
	})
}

// discoveryRules returns the part of the configuration that discovery can change while it runs.
func discoveryRules(cfg config.Config) discover.Rules {
	return discover.Rules{
		Libraries: cfg.Libraries, Enabled: cfg.Discovery.Enabled,
		Allow: cfg.Discovery.Allow, Deny: cfg.Discovery.Deny,
		DenyExecutables: cfg.Discovery.DenyExecutables, DenyCgroups: cfg.Discovery.DenyCgroups,
		MaxFiles: cfg.Discovery.MaxFiles, MaxFilesPerContainer: cfg.Discovery.MaxFilesPerContainer,
		MaxSites: cfg.Discovery.MaxSites, MaxSitesPerContainer: cfg.Discovery.MaxSitesPerContainer,
	}
}

// start searches for files in the background until stop is called. stop returns when the search has ended, or
// [errUnfinished] if that takes longer than the timeout.
func (d *discovery) start(log *slog.Logger) (stop func(timeout time.Duration) error) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := d.Run(ctx); err != nil {
			log.Error("discovery failed; new programs and libraries will not be traced until a restart", "error", err)
		}
	}()
	return func(timeout time.Duration) error {
		cancel()
		return within(timeout, "end discovery", func() error {
			<-ended
			return d.Close()
		})
	}
}

// Close ends discovery and releases the files it holds open.
func (d *discovery) Close() error {
	var err error
	if d.execs != nil {
		err = d.execs.Close()
		d.execs = nil
	}
	if err = errors.Join(err, d.Discoverer.Close()); err != nil {
		return fmt.Errorf("end discovery: %w", err)
	}
	return nil
}
