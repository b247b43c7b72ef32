// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

// hangups distinguishes the two meanings of SIGHUP: a daemon reloads its configuration, but a program whose terminal
// was closed ends.
type hangups struct {
	signals  chan os.Signal
	terminal bool // the process has a controlling terminal and must end with it
}

// catchHangups starts catching SIGHUP. A signal that arrives before take is called is kept for take. Under nohup(1),
// which makes the process ignore SIGHUP, closing the terminal does not end the program.
func catchHangups() *hangups {
	h := &hangups{signals: make(chan os.Signal, 1), terminal: hasTerminal() && !signal.Ignored(unix.SIGHUP)}
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

// take calls reload for each SIGHUP until ctx is done. If the terminal was closed, it calls closed instead and returns.
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
