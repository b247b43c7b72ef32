// SPDX-License-Identifier: Apache-2.0

// Package execs reports processes whose mapped code may have changed. A process that executes a program is reported
// immediately. The processes whose executable memory has changed are reported on request.
//
//	w, err := execs.Start(func(e execs.Exec) { fmt.Println("exec", e.PID) }, log)
//	...
//	err = w.Changed(func(pid uint32) { fmt.Println("maps changed", pid) })
//
// The package does not report which files are mapped: package discover reads that from /proc.
package execs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"

	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/ringbuf"

	"github.com/crau-otel/crau-otel/bpf"
)

// Watch holds a BPF program attached to sched_process_exec and a BPF task iterator.
type Watch struct {
	objs   bpf.ExecsObjects
	link   link.Link
	iter   *link.Iter
	reader *ringbuf.Reader
	done   chan struct{}

	mu     sync.Mutex // guards the fields below, and the iterator against being closed while in use
	closed bool
	buffer []byte
}

// Exec is a process that executes a program. Its ids are those of the initial PID and user namespaces.
type Exec struct {
	PID    uint32
	UID    uint32
	Cgroup uint64 // id of the cgroup in the version 2 hierarchy
}

// Start calls notify with each process that executes a program, until Close. All calls come from one goroutine.
// Executions of the same file are reported at most four times a second, and during a burst of executions some may not
// be reported. Start needs CAP_BPF and CAP_PERFMON.
func Start(notify func(Exec), log *slog.Logger) (_ *Watch, err error) {
	w := &Watch{done: make(chan struct{}), buffer: make([]byte, 4096)}
	if err := bpf.LoadExecsObjects(&w.objs, nil); err != nil {
		return nil, fmt.Errorf("load program: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.release())
		}
	}()
	if w.reader, err = ringbuf.NewReader(w.objs.Execs); err != nil {
		return nil, fmt.Errorf("open ring buffer: %w", err)
	}
	if w.iter, err = link.AttachIter(link.IterOptions{Program: w.objs.ChangedMaps}); err != nil {
		return nil, fmt.Errorf("attach task iterator: %w", err)
	}
	w.link, err = link.AttachRawTracepoint(link.RawTracepointOptions{Name: "sched_process_exec", Program: w.objs.ReportExec})
	if err != nil {
		return nil, fmt.Errorf("attach raw tracepoint sched_process_exec: %w", err)
	}
	go w.read(notify, log)
	return w, nil
}

func (w *Watch) read(notify func(Exec), log *slog.Logger) {
	defer close(w.done)
	for record := (ringbuf.Record{}); ; {
		switch err := w.reader.ReadInto(&record); {
		case errors.Is(err, ringbuf.ErrClosed):
			return
		case err != nil:
			log.Warn("exec notifications stopped; new programs will be found on the next pass", "error", err)
			return
		}
		var e bpf.ExecsExec
		if _, err := binary.Decode(record.RawSample, binary.NativeEndian, &e); err == nil {
			notify(Exec{PID: e.Tgid, UID: e.Uid, Cgroup: e.Cgroup})
		}
	}
}

// Changed calls visit with the id, in the initial PID namespace, of each process whose executable memory has changed
// since the last call: the amount of this memory or, since Linux 6.7, the files that are mapped there. The first call
// reports all processes except kernel threads. A call takes the kernel about a microsecond per thread.
func (w *Watch) Changed(visit func(pid uint32)) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return os.ErrClosed
	}
	r, err := w.iter.Open()
	if err != nil {
		return fmt.Errorf("iterate over tasks: %w", err)
	}
	defer r.Close()
	for filled := 0; ; {
		n, err := r.Read(w.buffer[filled:])
		filled += n
		whole := filled &^ 3
		for at := 0; at < whole; at += 4 {
			visit(binary.NativeEndian.Uint32(w.buffer[at:]))
		}
		filled = copy(w.buffer, w.buffer[whole:filled])
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("iterate over tasks: %w", err)
		}
	}
}

// Close detaches the programs. notify is not called after it returns.
func (w *Watch) Close() error {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	err := w.release()
	<-w.done
	return err
}

// release closes everything that was opened.
func (w *Watch) release() error {
	var errs []error
	if w.link != nil {
		errs = append(errs, w.link.Close())
	}
	if w.iter != nil {
		errs = append(errs, w.iter.Close())
	}
	if w.reader != nil {
		errs = append(errs, w.reader.Close())
	}
	return errors.Join(append(errs, w.objs.Close())...)
}
