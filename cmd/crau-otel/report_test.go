// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"strings"
	"testing"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/agent"
	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/totals"
	"github.com/crau-otel/crau-otel/mapping"
	"github.com/crau-otel/crau-otel/tracer"
)

func TestReport(t *testing.T) {
	seen := totals.Totals{Mapped: mapping.Stats{Trees: 1}}
	failed := seen
	failed.Exported.Failed.Spans, failed.Exported.QueueFull.Spans = 7, 2
	for _, c := range []struct {
		outcome agent.Outcome
		left    int
		want    []string // parts; none: nothing is written
	}{
		{agent.Outcome{Totals: seen}, 0, nil},
		{agent.Outcome{Totals: seen}, 1, []string{"crau-otel: 1 process of the command still runs and is no longer observed; --linger"}},
		{agent.Outcome{Totals: seen}, 2, []string{"2 processes of the command still run and are no longer observed"}},
		{agent.Outcome{Totals: failed}, 0, []string{"9 spans were not delivered"}},
		{agent.Outcome{Totals: seen, Wire: agent.ErrWireOff}, 0, nil},
		{agent.Outcome{Totals: seen, Wire: errors.New("no permission")}, 0, []string{"were not examined: no permission\n"}},
		{agent.Outcome{}, 0, []string{"no TLS or SSH handshake", "QUIC", "another process", "no file with probes is attached"}},
		{agent.Outcome{Files: 3}, 0, []string{"3 files with probes are attached, and the command did not use them"}},
		{agent.Outcome{Wire: errors.New("no permission")}, 0, []string{"connections were not examined: no permission", "statically linked"}},
		{
			agent.Outcome{Totals: totals.Totals{
				Connections: tracer.WireStats{RingFull: 2, NoStorage: 1, Excluded: 4}, Traced: tracer.Stats{Hidden: 5, FamilyFull: 6},
			}},
			0,
			[]string{
				"3 connections of the host were lost", "4 connections of the host were left out by wire.deny_ports", "5 events were left out by scopes",
				"6 processes of the command were not observed",
			},
		},
	} {
		var b strings.Builder
		report(&b, c.outcome, c.left)
		if c.want == nil && b.Len() > 0 {
			t.Errorf("%+v: wrote %s", c.outcome, &b)
		}
		for _, want := range c.want {
			if !strings.Contains(b.String(), want) {
				t.Errorf("%+v: no %q in\n%s", c.outcome, want, &b)
			}
		}
	}
}
