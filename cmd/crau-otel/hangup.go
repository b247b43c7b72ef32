// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

// hangups tells SIGHUP apart: a daemon is to read its configuration again, a program in a terminal that was closed is
// to end.
type hangups struct {
	signals  chan os.Signal
	terminal bool // there is one
}

// catchHangups catches SIGHUP from now on; those that come before they are taken are not lost.
func catchHangups() *hangups {
	h := &hangups{signals: make(chan os.Signal, 1), terminal: hasTerminal()}
	signal.Notify(h.signals, unix.SIGHUP)
	return h
}

// hasTerminal reports whether this process has a controlling terminal.
func hasTerminal() bool {
	f, err := os.Open("/dev/tty")
	if err != nil {
		return false
	}
	_ = f.Close()
	return true
}

// take calls reload for each SIGHUP until ctx is done, or closed once when the terminal is.
func (h *hangups) take(ctx context.Context, reload, closed func()) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-h.signals:
		}
		if h.terminal && !hasTerminal() {
			closed()
			return
		}
		reload()
	}
}
