// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// ring reads a BPF ring buffer. Unlike the reader of cilium/ebpf, it maps the data once instead of twice in a row,
// which halves what the ring adds to the resident set. It returns records without copying them. It reports its position
// to the kernel rarely, because writing the position slows down the programs on other processors that are about to
// reserve a record.
//
// Only one goroutine may call next, between begin and end. The other methods are safe for concurrent use until close.
type ring struct {
	consumer, producer []byte  // mappings of the reader's page, and of the kernel's page and the data
	read, written      *uint64 // positions in these two pages
	data               []byte

	mu      sync.Mutex // held between begin and end
	stopped atomic.Bool

	nextAt   uint64 // position of the next record
	limit    uint64 // position up to which records have been reserved
	reported uint64 // position up to which the kernel knows that records have been read
	batch    uint64 // bytes by which nextAt may be ahead of reported
	pending  bool   // the record at nextAt is reserved and not submitted yet
	wrapped  []byte // copy of the last record that crossed the end of the ring
}

var errStopped = errors.New("ring is closed")

func newRing(m *ebpf.Map) (_ *ring, err error) {
	page, size := os.Getpagesize(), int(m.MaxEntries())
	g := &ring{batch: uint64(size / 256)}
	if g.consumer, err = unix.Mmap(m.FD(), 0, page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
		return nil, fmt.Errorf("map the reader's position: %w", err)
	}
	if g.producer, err = unix.Mmap(m.FD(), int64(page), page+size, unix.PROT_READ, unix.MAP_SHARED); err != nil {
		return nil, errors.Join(fmt.Errorf("map data: %w", err), unix.Munmap(g.consumer))
	}
	g.data = g.producer[page:]
	g.read, g.written = at[uint64](g.consumer), at[uint64](g.producer)
	g.nextAt = atomic.LoadUint64(g.read)
	g.limit, g.reported = g.nextAt, g.nextAt
	return g, nil
}

// at returns a pointer to the integer at the start of memory that is shared with the kernel and aligned for it.
func at[T uint32 | uint64](b []byte) *T {
	return (*T)(unsafe.Pointer(unsafe.SliceData(b))) //nolint:gosec // atomic access needs a pointer
}

// size returns the ring's capacity in bytes.
func (g *ring) size() int { return len(g.data) }

// used returns how many bytes have been written and not yet reported as read.
func (g *ring) used() int {
	read := atomic.LoadUint64(g.read) // must be read before written, which grows in the meantime
	return int(min(atomic.LoadUint64(g.written)-read, uint64(g.size())))
}

// begin starts reading. After stop it fails with errStopped.
func (g *ring) begin() error {
	g.mu.Lock()
	if g.stopped.Load() {
		g.mu.Unlock()
		return errStopped
	}
	return nil
}

// end ends the reading that begin started.
func (g *ring) end() {
	g.report()
	g.mu.Unlock()
}

// next returns the next record, which is valid until the following call. It returns nil if there is no record, if the
// next record has not been submitted yet, or after stop.
func (g *ring) next() ([]byte, error) {
	if g.nextAt-g.reported >= g.batch {
		g.report()
	}
	for !g.stopped.Load() {
		if g.nextAt == g.limit {
			g.limit = atomic.LoadUint64(g.written)
			if g.pending = false; g.nextAt == g.limit {
				return nil, nil
			}
		}
		start := g.nextAt & uint64(len(g.data)-1)
		// Records are multiples of eight bytes, so the header does not cross the end. Its first half is read atomically,
		// because the kernel writes it after the record.
		header := atomic.LoadUint32(at[uint32](g.data[start:]))
		if g.pending = header&unix.BPF_RINGBUF_BUSY_BIT != 0; g.pending {
			return nil, nil
		}
		n := uint64(header &^ (unix.BPF_RINGBUF_BUSY_BIT | unix.BPF_RINGBUF_DISCARD_BIT))
		length := (unix.BPF_RINGBUF_HDR_SZ + n + 7) &^ 7
		if length > g.limit-g.nextAt {
			return nil, fmt.Errorf("a record of %d bytes, with %d in the ring", n, g.limit-g.nextAt)
		}
		g.nextAt += length
		if header&unix.BPF_RINGBUF_DISCARD_BIT == 0 {
			return g.bytes((start+unix.BPF_RINGBUF_HDR_SZ)&uint64(len(g.data)-1), n), nil
		}
	}
	return nil, nil
}

// bytes returns the n bytes of the ring that begin at start.
func (g *ring) bytes(start, n uint64) []byte {
	if first := uint64(len(g.data)) - start; n > first {
		g.wrapped = append(append(g.wrapped[:0], g.data[start:]...), g.data[:n-first]...)
		return g.wrapped
	}
	return g.data[start : start+n : start+n]
}

// report frees the space of the records that were read.
func (g *ring) report() {
	if g.reported != g.nextAt {
		g.reported = g.nextAt
		atomic.StoreUint64(g.read, g.nextAt)
	}
}

// stop makes reading end after the current record, and waits until it has ended.
func (g *ring) stop() {
	g.stopped.Store(true)
	g.mu.Lock()
	defer g.mu.Unlock()
}

// close frees the mappings, after stop. No method may be called afterwards.
func (g *ring) close() error {
	return errors.Join(unix.Munmap(g.producer), unix.Munmap(g.consumer))
}
