// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/agent"
	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/config"
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
		want    []string // parts of the output; if empty, nothing is written
	}{
		{agent.Outcome{Totals: seen}, 0, nil},
		{agent.Outcome{Totals: seen, Disabled: true}, 0, []string{"crau-otel: nothing is exported: OTEL_SDK_DISABLED is true\n"}},
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
				"3 connections of the host were lost", "4 connections of the host were excluded by wire.deny_ports", "5 events were excluded by scopes",
				"6 processes of the command were not observed",
			},
		},
	} {
		var b strings.Builder
		report(&b, config.FormatText, c.outcome, c.left)
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

// If log.format is json, each line of the report is a JSON object.
func TestReportAsJSON(t *testing.T) {
	var b strings.Builder
	report(&b, config.FormatJSON, agent.Outcome{Disabled: true, Wire: errors.New("no permission")}, 2)
	type line struct {
		Level, Msg string
		Reasons    []string
	}
	var got []line
	for text := range strings.Lines(b.String()) {
		var l line
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		got = append(got, l)
	}
	want := []string{
		"nothing is exported: OTEL_SDK_DISABLED is true",
		"2 processes of the command still run and are no longer observed; --linger 1m would wait longer",
		"no TLS or SSH handshake of the command was seen",
	}
	for i, l := range got {
		if i >= len(want) || l.Msg != want[i] || l.Level != "INFO" || (len(l.Reasons) > 0) != (i == 2) {
			t.Errorf("line %d is %+v", i, l)
		}
	}
	if len(got) != len(want) || !slices.Contains(got[2].Reasons, "connections were not examined: no permission") {
		t.Errorf("reported %+v", got)
	}
}
