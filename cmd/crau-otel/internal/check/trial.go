// SPDX-License-Identifier: Apache-2.0

package check

import (
	"errors"
	"fmt"
	"log/slog"
	"reflect"

	"github.com/crau-otel/crau-otel/probes"
	"github.com/crau-otel/crau-otel/tracer"
	"github.com/crau-otel/crau-otel/tracer/event"
	"github.com/crau-otel/crau-otel/tracer/execs"
)

// try makes the trial: it loads crau-otel's programs, attaches the one for probes to the function probed and calls that
// function, and attaches the ones that read connections. If loading fails, it attaches nothing.
func try() (load, attach, wire error) {
	t, err := tracer.New(tracer.Config{})
	if err != nil {
		return err, nil, nil
	}
	attach = hit(t)
	wire = t.AttachWire(tracer.WireConfig{Packet: func(*event.Packet) {}})
	return t.Close(), attach, wire
}

// tryWatch starts the notifications of executed programs and mapped libraries, and stops them again.
func tryWatch() error {
	w, err := execs.Start(func(execs.Exec) {}, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	return errors.Join(w.Changed(func(uint32) {}), w.Close())
}

// probed is the function that the trial attaches to.
//
//go:noinline
func probed(calls *int) { *calls++ }

func hit(t *tracer.Tracer) error {
	offset, err := probes.OwnFileOffset(uint64(reflect.ValueOf(probed).Pointer()))
	if err != nil {
		return err
	}
	// The zero operands are constants, so both arguments of the probe are 0.
	site := probes.Site{Probe: probes.NewContext, Offset: offset, Args: make([]probes.Operand, 2)}
	cookie, err := t.Add(site, 0)
	if err != nil {
		return err
	}
	a, err := probes.Attach("/proc/self/exe", t.Program(), t.Multi(), []probes.Site{site}, []uint64{cookie})
	if err != nil {
		return err
	}
	probed(new(int))
	stats, err := t.Stats()
	if err == nil && stats.Sent == 0 {
		err = fmt.Errorf("a hit was not recorded: %+v", stats)
	}
	return errors.Join(err, a.Close())
}
