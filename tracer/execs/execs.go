// SPDX-License-Identifier: Apache-2.0

// Package execs tells which processes execute programs, as they do, and in which it has changed what can be executed.
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

// Watch is a program attached to sched_process_exec, and one that goes through all processes.
type Watch struct {
	objs   bpf.ExecsObjects
	link   link.Link
	iter   *link.Iter
	reader *ringbuf.Reader
	done   chan struct{}

	mu     sync.Mutex // guards what follows, and the iterator against being closed while in use
	closed bool
	buffer []byte
}

// Start calls notify, from one goroutine, with the id of each process that executes a program, in the initial PID
// namespace, until Close. Executions of one file are told four times a second at most, and none may be told for some
// time where very many come at once. It needs CAP_BPF and CAP_PERFMON.
func Start(notify func(pid uint32), log *slog.Logger) (_ *Watch, err error) {
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
	w.link, err = link.AttachRawTracepoint(link.RawTracepointOptions{Name: "sched_process_exec", Program: w.objs.TellExec})
	if err != nil {
		return nil, fmt.Errorf("attach raw tracepoint sched_process_exec: %w", err)
	}
	go w.read(notify, log)
	return w, nil
}

func (w *Watch) read(notify func(pid uint32), log *slog.Logger) {
	defer close(w.done)
	for record := (ringbuf.Record{}); ; {
		switch err := w.reader.ReadInto(&record); {
		case errors.Is(err, ringbuf.ErrClosed):
			return
		case err != nil:
			log.Warn("exec notifications stopped; new programs will be found on the next pass", "error", err)
			return
		}
		if len(record.RawSample) >= 4 {
			notify(binary.NativeEndian.Uint32(record.RawSample))
		}
	}
}

// Changed calls visit with the id of each process that can execute more or less memory than when Changed was called last,
// in the initial PID namespace; the first time, with those of all processes that are no kernel threads. It takes the
// kernel about a microsecond a thread.
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

// Close detaches; when it returns, notify is not called any more.
func (w *Watch) Close() error {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	err := w.release()
	<-w.done
	return err
}

// release closes what is open.
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
