// SPDX-License-Identifier: Apache-2.0

package launch

import (
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

// Signals receives the signals that are meant for the command.
type Signals struct {
	received chan os.Signal
	terminal *os.File // the controlling terminal; nil if there is none
}

// forwarded lists the signals that Signals receives. SIGPIPE is one of them so that this process does not end when the
// reader of the trees is gone: its exit code must be the command's.
var forwarded = []os.Signal{
	unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGUSR1, unix.SIGUSR2, unix.SIGPIPE,
}

// Catch catches signals from now on. Signals that this process was started to ignore, such as SIGHUP under nohup,
// remain ignored, and the command inherits that.
func Catch() *Signals {
	s := &Signals{received: make(chan os.Signal, 16)}
	s.terminal, _ = os.OpenFile("/dev/tty", os.O_RDONLY|unix.O_NOCTTY, 0)
	for _, sig := range forwarded {
		if !signal.Ignored(sig) {
			signal.Notify(s.received, sig)
		}
	}
	return s
}

// Close stops catching signals.
func (s *Signals) Close() {
	signal.Stop(s.received)
	if s.terminal != nil {
		_ = s.terminal.Close()
	}
}

// Received returns the channel of signals. Each may already have reached the command: see Shared.
func (s *Signals) Received() <-chan os.Signal { return s.received }

// Shared reports whether the signal probably reached the whole process group: the terminal sends SIGINT and SIGQUIT to
// every process in the foreground.
func (s *Signals) Shared(received os.Signal) bool {
	if received == unix.SIGPIPE {
		return true
	}
	if received != unix.SIGINT && received != unix.SIGQUIT || s.terminal == nil {
		return false
	}
	foreground, err := unix.IoctlGetInt(int(s.terminal.Fd()), unix.TIOCGPGRP)
	return err == nil && foreground == unix.Getpgrp()
}
