// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// writer writes to the memory of a ring as the kernel does.
type writer struct{ *ring }

func newWriter(size int) writer {
	return writer{&ring{
		data: make([]byte, size), read: new(uint64), written: new(uint64), batch: uint64(size / 4),
	}}
}

func (w writer) write(content string, flags uint32) {
	at := *w.written
	put := func(b []byte) {
		for _, c := range b {
			w.data[at%uint64(len(w.data))] = c
			at++
		}
	}
	put(binary.LittleEndian.AppendUint32(nil, uint32(len(content))|flags))
	put(make([]byte, 4))
	put([]byte(content))
	*w.written += uint64(8 + (len(content)+7)&^7)
}

func (w writer) readAll(t *testing.T) (all []string) {
	t.Helper()
	if err := w.begin(); err != nil {
		t.Fatal(err)
	}
	defer w.end()
	for {
		sample, err := w.next()
		if err != nil {
			t.Fatal(err)
		}
		if sample == nil {
			return all
		}
		all = append(all, string(sample))
	}
}

// Records are read whole and in order at any position, including records that cross the end of the ring.
func TestRingReadsRecordsThatGoOverItsEnd(t *testing.T) {
	t.Parallel()
	w := newWriter(64)
	for i := range 200 {
		var want []string
		for k := range 1 + i%2 {
			content := fmt.Sprintf("%d.%d %s", i, k, bytes.Repeat([]byte("x"), i%13))
			w.write(content, 0)
			want = append(want, content)
		}
		if got := w.readAll(t); !slices.Equal(got, want) {
			t.Fatalf("read %q, want %q", got, want)
		}
		if *w.read != *w.written || w.used() != 0 {
			t.Fatalf("reported %d of %d bytes as read", *w.read, *w.written)
		}
	}
}

func TestRingStopsAtRecordsThatAreNotSubmitted(t *testing.T) {
	t.Parallel()
	w := newWriter(256)
	w.write("first", 0)
	w.write("discarded", unix.BPF_RINGBUF_DISCARD_BIT)
	pending := *w.written
	w.write("pending", unix.BPF_RINGBUF_BUSY_BIT)
	w.write("last", 0)
	if got := w.readAll(t); !slices.Equal(got, []string{"first"}) || !w.pending || *w.read != pending {
		t.Errorf("read %q, pending %v, up to %d of %d", got, w.pending, *w.read, pending)
	}
	w.data[pending+3] = 0
	if got := w.readAll(t); !slices.Equal(got, []string{"pending", "last"}) || w.pending || w.used() != 0 {
		t.Errorf("read %q, pending %v, %d bytes left", got, w.pending, w.used())
	}
}

// The space of records is freed before the ring is empty, but not while the records are still in use.
func TestRingReportsItsPositionMeanwhile(t *testing.T) {
	t.Parallel()
	w := newWriter(256)
	for range 10 {
		w.write("12345678", 0)
	}
	if err := w.begin(); err != nil {
		t.Fatal(err)
	}
	for i := range uint64(10) {
		if _, err := w.next(); err != nil {
			t.Fatal(err)
		}
		if read := *w.read; read > 16*i || read+w.batch < 16*i {
			t.Errorf("%d bytes reported as read before record %d", read, i)
		}
	}
	w.end()
	if *w.read != 160 {
		t.Errorf("%d bytes reported as read at the end", *w.read)
	}
}

func TestRingRefusesImpossibleLengths(t *testing.T) {
	t.Parallel()
	w := newWriter(64)
	w.write("content", 0)
	binary.LittleEndian.PutUint32(w.data, 9)
	if err := w.begin(); err != nil {
		t.Fatal(err)
	}
	defer w.end()
	if sample, err := w.next(); sample != nil || err == nil || err.Error() != "a record of 9 bytes, with 16 in the ring" {
		t.Errorf("read %q, %v", sample, err)
	}
}

func TestRingEndsAfterStop(t *testing.T) {
	t.Parallel()
	w := newWriter(64)
	w.write("content", 0)
	if err := w.begin(); err != nil {
		t.Fatal(err)
	}
	w.stopped.Store(true) // the first step of stop; its second step, locking mu, would block until w.end
	if sample, err := w.next(); sample != nil || err != nil {
		t.Errorf("read %q, %v", sample, err)
	}
	w.end()
	w.stop()
	if err := w.begin(); err != errStopped { //nolint:errorlint // begin does not wrap it
		t.Errorf("begin after stop: %v", err)
	}
}
