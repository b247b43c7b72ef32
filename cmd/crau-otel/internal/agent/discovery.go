// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/attach"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/check"
	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/config"
	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/identity"
	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/resources"
	"github.com/crau-otel/crau-otel/limits"
	"github.com/crau-otel/crau-otel/probes/discover"
	"github.com/crau-otel/crau-otel/probes/host"
	"github.com/crau-otel/crau-otel/tracer/execs"
)

// discovery finds files with probes and passes them to package attach.
type discovery struct {
	*discover.Discoverer
	execs atomic.Pointer[execs.Watch] // nil while exec notifications are unavailable
	code  *identity.Code
}

// newDiscovery returns a discovery that has not searched for files yet, but already receives exec notifications if they
// are available.
func newDiscovery(
	cfg config.Config, fitted resources.Fitted, attached *attach.Files, code *identity.Code, monitor *limits.Monitor,
	log *slog.Logger,
) (*discovery, error) {
	d := &discovery{code: code}
	found, err := discover.New(discover.Config{
		Log: log, Found: attached.Add, Judged: attached.Judge, Gone: attached.Remove, Changed: d.changed,
		Rules: DiscoveryRules(cfg), Limits: monitor, Descriptors: resources.Descriptors(), Costs: attached.Costs(),
		MaxFacts: fitted.Facts,
	})
	if err != nil {
		return nil, fmt.Errorf("discovery: %w", err)
	}
	d.Discoverer = found
	attached.Use(found)
	if cfg.Discovery.Enabled {
		check.WarnAboutBlindSpots(log)
	}
	if err = d.watchExecs(log); err != nil {
		log.Warn("exec notifications unavailable; new programs will be found on the next pass", "error", err)
	}
	return d, nil
}

// watchExecs starts the notifications of executed programs.
func (d *discovery) watchExecs(log *slog.Logger) error {
	watch, err := execs.Start(func(e execs.Exec) {
		d.Notify(discover.Executed{Process: host.Process(e.PID), User: e.UID, Cgroup: e.Cgroup})
	}, log)
	if err == nil {
		d.execs.Store(watch)
	}
	return err
}

// changed calls visit for each process whose executable memory has changed since the last call.
func (d *discovery) changed(visit func(pid uint32)) error {
	watch := d.execs.Load()
	if watch == nil {
		return errors.ErrUnsupported
	}
	return watch.Changed(func(pid uint32) {
		d.code.Changed(pid)
		visit(pid)
	})
}

// DiscoveryRules returns the rules of discovery that a configuration contains.
func DiscoveryRules(cfg config.Config) discover.Rules {
	return discover.Rules{
		Libraries: cfg.Libraries, Enabled: cfg.Discovery.Enabled,
		Allow: cfg.Discovery.Allow, Deny: cfg.Discovery.Deny,
		DenyExecutables: cfg.Discovery.DenyExecutables, DenyCgroups: cfg.Discovery.DenyCgroups,
		MaxFiles: cfg.Discovery.MaxFiles, MaxFilesPerContainer: cfg.Discovery.MaxFilesPerContainer,
		MaxSites: cfg.Discovery.MaxSites, MaxSitesPerContainer: cfg.Discovery.MaxSitesPerContainer,
	}
}

// start searches for files in the background until stop is called. stop waits until the search has ended. If that takes
// longer than timeout, it returns [errUnfinished].
func (d *discovery) start(log *slog.Logger) (stop func(timeout time.Duration) error) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	retrying := make(chan struct{})
	go func() {
		defer close(retrying)
		d.retryExecs(ctx, log)
	}()
	go func() {
		defer close(ended)
		defer func() { <-retrying }()
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

// retryEvery is the interval at which retryExecs tries again.
const retryEvery = time.Minute

// retryExecs tries to start the notifications of executed programs until it succeeds or ctx is done.
func (d *discovery) retryExecs(ctx context.Context, log *slog.Logger) {
	tick := time.NewTicker(retryEvery)
	defer tick.Stop()
	for d.execs.Load() == nil {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := d.watchExecs(log); err == nil {
			log.Info("exec notifications are available again")
		}
	}
}

// Close ends discovery and releases the files it holds open.
func (d *discovery) Close() error {
	var err error
	if watch := d.execs.Swap(nil); watch != nil {
		err = watch.Close()
	}
	if err = errors.Join(err, d.Discoverer.Close()); err != nil {
		return fmt.Errorf("end discovery: %w", err)
	}
	return nil
}
