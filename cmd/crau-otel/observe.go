// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/agent"
	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/check"
	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/config"
	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/launch"
	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/resources"
)

// lingerPoll is the interval at which the descendants of an ended command are counted.
const lingerPoll = 20 * time.Millisecond

// observation is a command that an agent observes.
type observation struct {
	agent   *agent.Agent
	command *launch.Command
	signals *launch.Signals
	ended   chan error // receives the agent's error when the agent has ended
}

// observe runs a command under an agent and returns the exit code. The caller must print err. An error does not mean
// that the command has not run.
func observe(args []string, cfg config.Config, options execOptions) (code int, err error) {
	if !check.HostPIDs() {
		return launch.CodeFailed, errors.New("exec needs the host's PID namespace: docker run --pid host, hostPID in Kubernetes")
	}
	trees := os.Stderr
	if options.treeFile != "" {
		if trees, err = os.Create(options.treeFile); err != nil {
			return launch.CodeFailed, fmt.Errorf("--tree-file: %w", err)
		}
		defer func() { err = errors.Join(err, trees.Close()) }()
	}
	o := &observation{signals: launch.Catch(), ended: make(chan error, 1)}
	defer o.signals.Close()
	if o.command, err = launch.Start(args); err != nil {
		return launch.ErrorCode(err), err
	}
	// These variables are for the command, which has inherited them. The agent must not use them.
	for _, name := range []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} {
		_ = os.Unsetenv(name)
	}
	log, level := newLogger(logOutput{os.Stderr, io.Discard}, cfg.Log)
	logLibraries(log)
	resources.LimitHeap()
	ready := make(chan struct{})
	o.agent, err = agent.New(agent.Config{
		Config: cfg, Version: buildVersion(), Stdout: trees, Log: log, Level: level,
		Follow: o.command.PID(), Ready: func() { close(ready) },
	})
	if err != nil {
		o.command.Cancel()
		return launch.CodeFailed, err
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	go func() { o.ended <- o.agent.Run(ctx) }()
	if code, err, ok := o.start(ready, stop); !ok {
		return code, err
	}
	code, err = o.wait()
	left := o.linger(options.linger)
	stop()
	agentErr, ended := o.await()
	if !ended {
		return code, err // a signal ended the wait, so the remaining exports are abandoned
	}
	err = errors.Join(err, agentErr)
	report(os.Stderr, cfg.Log.Format, o.agent.Outcome(), left)
	return code, err
}

// start makes the command run once the agent is ready. ok reports whether the command runs; otherwise code and err are
// the result of observe.
func (o *observation) start(ready <-chan struct{}, stop func()) (code int, err error, ok bool) {
	for {
		select {
		case <-ready:
			if err := o.command.Release(); err != nil {
				_, _ = o.command.Wait()
				stop()
				return launch.ErrorCode(err), errors.Join(err, <-o.ended), false
			}
			return 0, nil, true
		case err := <-o.ended:
			o.command.Cancel()
			return launch.CodeFailed, err, false
		case s := <-o.signals.Received():
			if s == unix.SIGPIPE {
				continue
			}
			o.command.Cancel()
			stop()
			return launch.SignalCode(s), <-o.ended, false
		}
	}
}

// wait waits until the command has ended, forwards signals to it in the meantime, and returns its exit code.
func (o *observation) wait() (code int, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		code, err = o.command.Wait()
	}()
	for {
		select {
		case <-done:
			return code, err
		case s := <-o.signals.Received():
			if !o.signals.Shared(s) {
				_ = o.command.Signal(s) // an error only means that the command has ended
			}
		}
	}
}

// linger waits until the descendants of the command have ended, at most for limit, or until a signal arrives. It
// returns the number of processes that are still running.
func (o *observation) linger(limit time.Duration) (left int) {
	timeout := time.NewTimer(limit)
	defer timeout.Stop()
	poll := time.NewTicker(lingerPoll)
	defer poll.Stop()
	for {
		left, err := o.agent.Followed()
		if err != nil || left == 0 {
			return left
		}
		select {
		case <-poll.C:
		case <-timeout.C:
			return left
		case s := <-o.signals.Received():
			if s != unix.SIGPIPE {
				return left
			}
		}
	}
}

// await waits until the agent has ended, and returns its error. If a signal arrives before that, ended is false.
func (o *observation) await() (err error, ended bool) {
	for {
		select {
		case err := <-o.ended:
			return err, true
		case s := <-o.signals.Received():
			if s != unix.SIGPIPE {
				return nil, false
			}
		}
	}
}
