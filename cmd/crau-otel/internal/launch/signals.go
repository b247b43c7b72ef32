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

// forwarded lists the signals that Signals receives. SIGPIPE is one of them so that it does not end this process when
// nobody reads the trees any more: the exit code of this process must be the command's.
var forwarded = []os.Signal{
	unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGUSR1, unix.SIGUSR2, unix.SIGPIPE,
}

// Catch starts catching signals. Signals that this process was started to ignore, such as SIGHUP under nohup(1), remain
// ignored in this process and in the command.
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

// Received returns the channel of received signals. A signal for which Shared returns true must not be forwarded to the
// command.
func (s *Signals) Received() <-chan os.Signal { return s.received }

// Shared reports whether a signal must not be forwarded to the command. That applies to SIGPIPE, which concerns only
// this process. If this process is in the foreground, it also applies to SIGINT and SIGQUIT: they probably come from
// the terminal, which sends them to all processes in the foreground, including the command.
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
