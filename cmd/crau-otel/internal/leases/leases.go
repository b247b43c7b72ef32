// SPDX-License-Identifier: Apache-2.0

// Package leases calls a function when a process wants to write to a file, and delays the writer.
//
// A breakpoint belongs to an offset in a file. A program that overwrites an attached file in place moves other code to
// that offset, and the next program that maps the file crashes. A read lease (fcntl(2), F_SETLEASE) prevents that:
// until it is released, the kernel lets no process open the file for writing or truncate it. The writer waits for up to
// /proc/sys/fs/lease-break-time (45 s), or fails with EWOULDBLOCK if it opens the file without blocking. Package
// managers are not affected, because they replace files by renaming.
//
//	leases := leases.New()
//	lease, err := leases.Take(file, func(l *leases.Lease) { detach(); l.Release() })
package leases

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/crau-otel/crau-otel/probes/host"
)

// ErrWritten is returned if there can be no lease because a process has the file open for writing.
var ErrWritten = errors.New("file is open for writing")

// Holder holds leases. Its methods are safe for concurrent use.
type Holder struct {
	signals chan os.Signal // receives SIGIO, which the kernel sends when a process waits for a lease
	done    chan struct{}  // closed by Close

	mu     sync.Mutex // guards the fields below
	closed bool
	leases map[*Lease]struct{}
}

// Lease is a lease of one file.
type Lease struct {
	holder *Holder
	file   *os.File
	broken func(*Lease) // called when a process wants to write; nil after that
}

// New returns a Holder without leases. The caller must close it.
func New() *Holder {
	h := &Holder{signals: make(chan os.Signal, 1), done: make(chan struct{}), leases: make(map[*Lease]struct{})}
	signal.Notify(h.signals, unix.SIGIO)
	go h.run()
	return h
}

// Take takes a lease on an open regular file; if the file is on an overlay, on the file beneath it. When a process
// wants to write to the file, broken is called on a new goroutine, and the process waits until the lease is released.
// Take needs CAP_LEASE for files of other users, and a file system that supports leases.
func (h *Holder) Take(file *os.File, broken func(*Lease)) (*Lease, error) {
	fd, err := host.OpenBeneath(int(file.Fd()))
	if err != nil {
		fd, err = host.Open(host.DescriptorPath(int(file.Fd())), unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY)
	}
	if err != nil {
		return nil, fmt.Errorf("take lease: %w", err)
	}
	l := &Lease{holder: h, file: os.NewFile(uintptr(fd), file.Name()), broken: broken}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		err = os.ErrClosed
	} else {
		_, err = unix.FcntlInt(uintptr(fd), unix.F_SETLEASE, unix.F_RDLCK)
	}
	if err != nil {
		_ = l.file.Close()
		if errors.Is(err, unix.EAGAIN) {
			return nil, ErrWritten
		}
		return nil, fmt.Errorf("take lease: %w", err)
	}
	h.leases[l] = struct{}{}
	return l, nil
}

// File returns the leased file, which stays open until the lease is released.
func (l *Lease) File() *os.File { return l.file }

// Release ends the lease. Releasing it again does nothing.
func (l *Lease) Release() {
	l.holder.mu.Lock()
	defer l.holder.mu.Unlock()
	delete(l.holder.leases, l)
	_ = l.file.Close() // closing the file ends the lease
}

// run calls check for each SIGIO, until the Holder is closed.
func (h *Holder) run() {
	for {
		select {
		case <-h.done:
			return
		case <-h.signals:
		}
		h.check()
	}
}

// check calls broken for each lease that a process waits for.
func (h *Holder) check() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for l := range h.leases {
		held, err := unix.FcntlInt(l.file.Fd(), unix.F_GETLEASE, 0)
		if l.broken == nil || err == nil && held == unix.F_RDLCK {
			continue
		}
		go l.broken(l)
		l.broken = nil
	}
}

// Close releases all leases.
func (h *Holder) Close() {
	signal.Stop(h.signals)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return
	}
	h.closed = true
	close(h.done)
	for l := range h.leases {
		_ = l.file.Close()
	}
	clear(h.leases)
}
