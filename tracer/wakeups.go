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

// wakeups lets a goroutine wait until the kernel wakes the reader of a ring. It waits as for a socket: in a system
// call of its own it would keep the runtime's monitor thread busy for some milliseconds each time, a sixth of the
// agent's work.
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
	if err := unix.SetNonblock(fd, true); err != nil { // else the runtime takes it for a file that never waits
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

// wait returns when the kernel has woken the reader since the call of ready, when ready returns true, after that much
// time, or after interrupt or close.
func (w *wakeups) wait(most time.Duration, ready func() bool) error {
	if err := w.file.SetReadDeadline(time.Now().Add(most)); err != nil {
		return w.unlessClosed(err)
	}
	asked := false
	err := w.conn.Read(func(uintptr) bool {
		if asked {
			return true
		}
		asked = true
		return ready()
	})
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil
	}
	return w.unlessClosed(err)
}

// interrupt ends a wait, and one that comes next unless ready returns true.
func (w *wakeups) interrupt() error {
	return w.unlessClosed(w.file.SetReadDeadline(past))
}

// close ends a wait, and waits for that. It is idempotent.
func (w *wakeups) close() error {
	if w.closed.Swap(true) {
		return nil
	}
	return w.file.Close()
}

// unlessClosed leaves it to the next look at the ring to find it closed.
func (w *wakeups) unlessClosed(err error) error {
	if w.closed.Load() {
		return nil
	}
	return err
}
