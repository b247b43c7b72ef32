// SPDX-License-Identifier: Apache-2.0

// Package links holds BPF links, and detaches them without waiting for the kernel.
//
// A process that drops the last reference to a link waits until no BPF program runs at any uprobe of the host. A BPF
// program that reads memory of the traced process sleeps while a page is fetched, for as long as the file system behind
// the page needs. So a FUSE server that does not answer blocks every detach on the host, and neither the blocked thread
// nor its process can be killed. A [Holder] therefore pins links in a private BPF file system, which no other process
// can see and which disappears with this process. Removing the pin detaches the link, and only a worker thread of the
// kernel waits.
//
// If no such file system can be created, which needs CAP_SYS_ADMIN, links are closed in the background.
package links

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/crau-otel/crau-otel/probes"
	"github.com/crau-otel/crau-otel/probes/host"
)

// maxClosing is the maximum number of attachments that are closed at the same time if links cannot be pinned. Closing
// one may block a thread.
const maxClosing = 64

// Holder holds attachments. Its methods are safe for concurrent use.
type Holder struct {
	pins    *os.File       // root folder of the BPF file system; nil if links cannot be pinned
	closing chan struct{}  // semaphore of size maxClosing
	wait    sync.WaitGroup // counts attachments that are being closed in the background

	mu   sync.Mutex
	next uint64 // name of the next pin, guarded by mu
}

// New returns a Holder, which the caller must close. If the Holder cannot pin links, New also returns an error, and the
// Holder can be used nevertheless. The process may switch to another user afterwards.
func New() (*Holder, error) {
	h := &Holder{closing: make(chan struct{}, maxClosing)}
	var err error
	h.pins, err = mountBPF()
	return h, err
}

// mountBPF creates a BPF file system that is mounted nowhere.
func mountBPF() (*os.File, error) {
	fs, err := unix.Fsopen("bpf", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make BPF file system: %w", err)
	}
	defer unix.Close(fs)
	if err := unix.FsconfigCreate(fs); err != nil {
		return nil, fmt.Errorf("make BPF file system: %w", err)
	}
	mount, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("make BPF file system: %w", err)
	}
	pins := os.NewFile(uintptr(mount), "bpf")
	// When the agent removes pins, it may have switched to another user. The kernel creates the folder with the sticky
	// bit, which would not allow that user to remove them.
	if err := unix.Chmod(host.DescriptorPath(mount), 0o777); err != nil {
		return nil, errors.Join(fmt.Errorf("make BPF file system: %w", err), pins.Close())
	}
	return pins, nil
}

// Pins returns the root folder of the Holder's BPF file system, or nil if it has none.
func (h *Holder) Pins() *os.File { return h.pins }

// Held is an attachment that a [Holder] holds. Its methods must not be called concurrently.
type Held struct {
	holder *Holder
	pins   []string // names of pinned links
	// attachment holds the links if they are not all pinned; nil if they are.
	attachment *probes.Attachment
}

// Hold takes over an attachment, which the caller must not use any more. The result is valid even if there is an error,
// which is the reason why not all links are pinned.
func (h *Holder) Hold(a *probes.Attachment) (*Held, error) {
	held := &Held{holder: h, attachment: a}
	if h.pins == nil {
		return held, nil
	}
	for _, l := range a.Links() {
		name, err := h.pin(l)
		if err != nil {
			// Links that were pinned before the error have a pin and belong to the attachment. Detach removes the pins and
			// closes the attachment.
			return held, fmt.Errorf("pin link: %w", err)
		}
		held.pins = append(held.pins, name)
	}
	held.attachment = nil
	if err := a.Close(); err != nil { // the pins keep the links attached
		return held, fmt.Errorf("close pinned link: %w", err)
	}
	return held, nil
}

func (h *Holder) pin(l link.Link) (name string, err error) {
	h.mu.Lock()
	name = fmt.Sprint(h.next)
	h.next++
	h.mu.Unlock()
	return name, l.Pin(host.DescriptorPath(int(h.pins.Fd())) + "/" + name)
}

// Detach starts to detach everything, and does not wait. It calls detached on any goroutine: once unpinned links are
// closed, or immediately if all links are pinned. The kernel may finish later, so a few more hits can follow.
func (held *Held) Detach(detached func(error)) {
	h := held.holder
	var errs []error
	for _, name := range held.pins {
		if err := unix.Unlinkat(int(h.pins.Fd()), name, 0); err != nil {
			errs = append(errs, fmt.Errorf("unpin link: %w", err))
		}
	}
	held.pins = nil
	if held.attachment == nil {
		detached(errors.Join(errs...))
		return
	}
	h.wait.Go(func() {
		h.closing <- struct{}{}
		defer func() { <-h.closing }()
		detached(errors.Join(append(errs, held.attachment.Close())...))
	})
}

// ErrStuck is returned by Wait if links are not closed in time.
var ErrStuck = errors.New("the kernel has not finished detaching: a traced program is stuck in a page fault at a probe")

// Wait waits until all detached attachments with unpinned links are closed, at most for timeout.
func (h *Holder) Wait(timeout time.Duration) error {
	closed := make(chan struct{})
	go func() {
		h.wait.Wait()
		close(closed)
	}()
	select {
	case <-closed:
		return nil
	case <-time.After(timeout):
		return ErrStuck
	}
}

// Close releases the BPF file system. This removes all pins, and detaches the links that are still pinned.
func (h *Holder) Close() error {
	if h.pins == nil {
		return nil
	}
	err := h.pins.Close()
	if errors.Is(err, os.ErrClosed) {
		return nil
	}
	return err
}
