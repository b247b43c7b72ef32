// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// wakeups lets a goroutine wait until the kernel wakes the reader of a ring. It uses the runtime's network poller. A
// blocking system call would keep the runtime's monitor thread busy for some milliseconds each time, which took a sixth
// of the agent's CPU time.
type wakeups struct {
	file   *os.File
	conn   syscall.RawConn
	closed atomic.Bool
}

func newWakeups(ring *ebpf.Map) (_ *wakeups, err error) {
	fd, err := unix.FcntlInt(uintptr(ring.FD()), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("duplicate ring: %w", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil { // otherwise the runtime does not poll it
		return nil, errors.Join(fmt.Errorf("set ring non-blocking: %w", err), unix.Close(fd))
	}
	w := &wakeups{file: os.NewFile(uintptr(fd), "ring")}
	if err := w.file.SetReadDeadline(time.Time{}); err != nil {
		return nil, errors.Join(fmt.Errorf("poll ring: %w", err), w.file.Close())
	}
	if w.conn, err = w.file.SyscallConn(); err != nil {
		return nil, errors.Join(fmt.Errorf("poll ring: %w", err), w.file.Close())
	}
	return w, nil
}

// wait returns when the kernel has woken the reader since ready was called, when ready returns true, after timeout,
// or after interrupt or close.
func (w *wakeups) wait(timeout time.Duration, ready func() bool) error {
	if err := w.file.SetReadDeadline(time.Now().Add(timeout)); err != nil {
		return w.unlessClosed(err)
	}
	called := false
	err := w.conn.Read(func(uintptr) bool {
		if called {
			return true
		}
		called = true
		return ready()
	})
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil
	}
	return w.unlessClosed(err)
}

// past is a deadline that ends a wait immediately.
var past = time.Unix(1, 0)

// interrupt ends the current wait, and the next one.
func (w *wakeups) interrupt() error {
	return w.unlessClosed(w.file.SetReadDeadline(past))
}

// close ends the current wait and blocks until that wait has ended. It is idempotent.
func (w *wakeups) close() error {
	if w.closed.Swap(true) {
		return nil
	}
	return w.file.Close()
}

// unlessClosed returns err, or nil after close, because reading the ring then fails with errStopped.
func (w *wakeups) unlessClosed(err error) error {
	if w.closed.Load() {
		return nil
	}
	return err
}
