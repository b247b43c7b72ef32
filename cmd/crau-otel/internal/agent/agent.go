// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/attach"

	"github.com/coreos/go-systemd/v22/daemon"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/config"
	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/identity"
	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/privileges"
	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/resources"
	"github.com/crau-otel/crau-otel/limits"
	"github.com/crau-otel/crau-otel/tracer"
)

// Config configures an [Agent].
type Config struct {
	// Config is the configuration to start with. It must be valid.
	Config config.Config
	// Load reads the configuration again, for [Agent.Reload]. If it is nil, a reload changes nothing.
	Load func() (config.Config, error)
	// Version is the version of crau-otel, reported with spans and metrics.
	Version string
	// Stdout is where the console exporter writes; nil means [os.Stdout].
	Stdout *os.File
	// Follow is a process id. Only this process and its descendants are observed. 0 means that all processes are.
	Follow int
	// Ready, if set, is called once by Run when everything is attached.
	Ready func()
	// Log is the agent's log; nil discards it.
	Log *slog.Logger
	// Level is the level of Log, which a reload can change. If it is nil, the level is fixed.
	Level *slog.LevelVar
}

// Agent traces the programs of this host. Its methods are safe for concurrent use. Run may be called only once.
type Agent struct {
	cfg      config.Config // configuration in effect
	load     func() (config.Config, error)
	version  string
	stdout   *os.File
	log      *slog.Logger
	level    *slog.LevelVar
	refusals refusalHandler // the handler of log
	user     privileges.User
	reloads  chan struct{} // requests to reload; capacity 1, because one pending request covers all
	stop     func()        // makes Run stop
	follow   int
	ready    func()
	outcome  Outcome // valid after Run has returned

	fitted      resources.Fitted
	limits      *limits.Monitor
	tracer      *tracer.Tracer
	attachments *attach.Files
	code        *identity.Code // nil until Run creates it
	discovery   *discovery
	pipeline    *pipeline
}

// New returns an agent that has loaded its BPF program, but has not attached anything. [Agent.Run] releases the agent's
// resources.
func New(c Config) (*Agent, error) {
	a := &Agent{
		cfg: c.Config, load: c.Load, version: c.Version, stdout: c.Stdout, log: c.Log, level: c.Level,
		reloads: make(chan struct{}, 1), limits: limits.New(limits.Config{}), follow: c.Follow, ready: c.Ready,
	}
	if a.load == nil {
		a.load = func() (config.Config, error) { return c.Config, nil }
	}
	if a.stdout == nil {
		a.stdout = os.Stdout
	}
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	a.refusals = newRefusalHandler(a.log.Handler())
	a.log = slog.New(a.refusals)
	if a.level == nil {
		a.level = new(slog.LevelVar)
	}
	a.fit(resources.Memory())
	if err := privileges.Check(); err != nil {
		return nil, err
	}
	var err error
	if a.user, err = privileges.Parse(a.cfg.User); err != nil {
		return nil, fmt.Errorf("user: %w", err)
	}
	if len(a.cfg.Libraries) == 0 && !a.cfg.Discovery.Enabled && !a.cfg.Wire.Enabled {
		return nil, errors.New("nothing to trace: discovery is off; name a library or program with --library PATH or the key libraries")
	}
	a.tracer, err = tracer.New(tracer.Config{
		RingSize:     int(a.cfg.Ring.Size),
		PollInterval: a.cfg.Ring.PollInterval,
		MaxProcesses: a.cfg.Limits.Processes,
		MaxStrings:   a.fitted.Strings,
		ProcessRate:  a.cfg.Limits.ProcessRate,
		Scopes:       a.cfg.Scopes,
		Family:       a.follow != 0,
		Log:          a.log,
	})
	if err != nil {
		return nil, err
	}
	if a.follow != 0 {
		if err := a.tracer.Follow(uint32(a.follow)); err != nil {
			return nil, errors.Join(err, a.tracer.Close())
		}
	}
	a.attachments = attach.New(a.tracer, a.limits, a.log)
	return a, nil
}

// Run traces until ctx is done, or until the console exporter's output has no reader any more. Then it detaches all
// sites, drains the ring, exports the remaining trees and logs the totals.
func (a *Agent) Run(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, a.release()) }()
	ctx, a.stop = context.WithCancel(ctx)
	defer a.stop()
	if a.code, err = identity.NewCode(a.log); err != nil {
		return err
	}
	if a.discovery, err = newDiscovery(a.cfg, a.fitted, a.attachments, a.code, a.limits, a.log); err != nil {
		return err
	}
	a.outcome.Wire = a.attachWire()
	onWire := a.outcome.Wire == nil
	// The user has to change on all threads of the process, and a thread that is blocked by a process or a file system
	// would block the change. So it happens before discovery starts, which may block threads. Without discovery, the
	// configured libraries are opened first, because the new user may not be allowed to open them.
	if a.cfg.Discovery.Enabled {
		err = a.lower(onWire)
	}
	if err == nil {
		err = a.discovery.Scan(ctx)
	}
	if err == nil && !a.cfg.Discovery.Enabled {
		err = a.lower(onWire)
	}
	if err != nil && ctx.Err() == nil {
		return err
	}
	files, sites := a.attachments.Count()
	if sites == 0 && !a.cfg.Discovery.Enabled && !onWire {
		a.attachments.Wait(ctx) // nothing else can be traced
		if files, sites = a.attachments.Count(); sites == 0 && ctx.Err() == nil {
			return errors.New("nothing attached: no file has a usable crypto_auditing probe")
		}
	}
	if a.cfg.Pprof != "" {
		stop, err := servePprof(a.cfg.Pprof, a.log)
		if err != nil {
			return err
		}
		defer stop()
	}
	if a.pipeline, err = a.newPipeline(ctx); err != nil {
		return err
	}
	sandboxed := a.enterSandbox()
	exporter := a.cfg.Exporter
	if a.outcome.Disabled {
		exporter = config.ExporterNone
	}
	a.log.Info("ready", "files", files, "sites", sites, "exporter", exporter, "uprobe_multi", a.tracer.Multi(),
		"discovery", a.cfg.Discovery.Enabled, "wire", onWire, "sandbox", sandboxed)
	if sites == 0 {
		a.log.Info("no file with probes found yet; programs and libraries that appear later will be traced")
	}
	a.attachments.Announce()
	debug.FreeOSMemory() // returns memory to the system that was only needed for loading

	stopDiscovery := a.discovery.start(a.log)
	go a.serveReloads(ctx)
	go a.watchLimits(ctx)
	a.pipeline.handler.note()
	go feedWatchdog(ctx, a.pipeline.handler, a.log)
	notify(a.log, daemon.SdNotifyReady)
	if a.ready != nil {
		a.ready()
	}
	return a.trace(ctx, stopDiscovery)
}
