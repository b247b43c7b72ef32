// SPDX-License-Identifier: Apache-2.0

// Package execs tells which processes execute programs, as they do.
package execs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"

	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/ringbuf"

	"github.com/crau-otel/crau-otel/bpf"
)

// Watch is a program attached to sched_process_exec.
type Watch struct {
	objs   bpf.ExecsObjects
	link   link.Link
	reader *ringbuf.Reader
	done   chan struct{}
}

// Start calls notify, from one goroutine, with the id of each process that executes a program, in the initial PID
// namespace, until Close. Executions of one file are told four times a second at most, and none may be told for some
// time where very many come at once. It needs CAP_BPF and CAP_PERFMON.
func Start(notify func(pid uint32), log *slog.Logger) (_ *Watch, err error) {
	w := &Watch{done: make(chan struct{})}
	if err := bpf.LoadExecsObjects(&w.objs, nil); err != nil {
		return nil, fmt.Errorf("load program: %w", err)
	}
	if w.reader, err = ringbuf.NewReader(w.objs.Execs); err != nil {
		return nil, errors.Join(fmt.Errorf("open ring buffer: %w", err), w.objs.Close())
	}
	w.link, err = link.AttachRawTracepoint(link.RawTracepointOptions{Name: "sched_process_exec", Program: w.objs.TellExec})
	if err != nil {
		err = fmt.Errorf("attach raw tracepoint sched_process_exec: %w", err)
		return nil, errors.Join(err, w.reader.Close(), w.objs.Close())
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
			log.Warn("executed programs are not told any more; they are found later", "error", err)
			return
		}
		if len(record.RawSample) >= 4 {
			notify(binary.NativeEndian.Uint32(record.RawSample))
		}
	}
}

// Close detaches; when it returns, notify is not called any more.
func (w *Watch) Close() error {
	err := errors.Join(w.link.Close(), w.reader.Close())
	<-w.done
	return errors.Join(err, w.objs.Close())
}
