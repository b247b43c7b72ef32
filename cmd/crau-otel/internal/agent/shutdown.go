// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/links"
	"github.com/crau-otel/crau-otel/tracer"
)

const (
	// detachShare is a divisor: each step before the export may take shutdown.timeout divided by it.
	detachShare = 4
	// After quietPolls polls without a hit, at intervals of quietPoll, no more hits are expected.
	quietPoll  = 10 * time.Millisecond
	quietPolls = 3
	// releaseTimeout bounds the time for releasing resources after the totals were logged.
	releaseTimeout = time.Second
)

// trace reads the ring until ctx is done. Then it detaches the probes, reads the rest of the ring, exports the
// remaining trees, and logs the totals, all within shutdown.timeout.
func (a *Agent) trace(ctx context.Context, stopDiscovery func(time.Duration) error) error {
	timeout := a.cfg.Shutdown.Timeout
	reading, drained := context.WithCancel(context.Background())
	defer drained()
	var deadline time.Time
	detached := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		deadline = time.Now().Add(timeout)
		notify(a.log, daemon.SdNotifyStopping)
		a.outcome.Files, _ = a.attachments.Count()
		a.log.Info("stopping: detaching probes, then exporting the remaining spans; interrupt again to exit immediately")
		err := errors.Join(stopDiscovery(timeout/detachShare), a.attachments.Close(timeout/detachShare),
			within(timeout/detachShare, "detach from sockets", a.tracer.DetachWire))
		a.awaitQuiet(timeout / detachShare)
		detached <- err
		drained()
	})
	err := a.tracer.Run(reading, a.pipeline.handler)
	if stop() { // Run failed before ctx was done
		deadline = time.Now().Add(timeout)
	} else {
		err = errors.Join(err, a.unlessSlow(<-detached))
	}
	traced, statsErr := a.settle()
	a.pipeline.handler.flush()
	exporting, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	a.pipeline.close(exporting)
	total, totalsErr := a.pipeline.totals()
	total.Traced = traced // without hits after settle, which were not read
	total.Log(a.log)
	a.outcome.Totals = total
	return errors.Join(err, statsErr, totalsErr)
}

// awaitQuiet waits until no more hits arrive, at most for limit: the kernel detaches asynchronously, so hits can
// follow.
func (a *Agent) awaitQuiet(limit time.Duration) {
	var hits uint64
	for deadline, quiet := time.Now().Add(limit), 0; quiet < quietPolls && time.Now().Before(deadline); time.Sleep(quietPoll) {
		stats, err := a.tracer.Stats()
		if err != nil {
			return
		}
		if stats.Hits == hits {
			quiet++
		} else {
			hits, quiet = stats.Hits, 0
		}
	}
}

// settle reads the ring until it has read every record that the counters include, and returns these counters. Later
// hits are neither counted nor exported.
func (a *Agent) settle() (stats tracer.Stats, err error) {
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	const attempts = 100
	for range attempts {
		if stats, err = a.tracer.Stats(); err != nil || stats.Sent == stats.Read+stats.Undecodable {
			return stats, err
		}
		if err = a.tracer.Run(ended, a.pipeline.handler); err != nil {
			return stats, err
		}
	}
	return stats, nil
}

// unlessSlow returns an error of the shutdown. If the error only means that a step takes too long, it logs the error
// and returns nil.
func (a *Agent) unlessSlow(err error) error {
	if errors.Is(err, errUnfinished) || errors.Is(err, links.ErrStuck) {
		a.log.Warn("shutdown stopped waiting; the kernel detaches the remaining probes after the agent has exited", "error", err)
		return nil
	}
	return err
}

// release frees the agent's resources. It waits at most releaseTimeout.
func (a *Agent) release() error {
	return a.unlessSlow(within(releaseTimeout, "release", func() error {
		err := a.attachments.Close(releaseTimeout)
		if a.discovery != nil {
			err = errors.Join(err, a.discovery.Close())
		}
		if a.code != nil {
			err = errors.Join(err, a.code.Close())
		}
		return errors.Join(err, a.tracer.Close())
	}))
}
