// SPDX-License-Identifier: Apache-2.0

// Package totals accounts for every hit: each is exported, identifies a session, or is lost for exactly one loss
// reason.
//
// [Fields] is the only table of these numbers. The log line "totals", the metric crau_otel.events.lost and the table in
// docs/accounting.md are generated from it, so that a new loss reason has to be added in one place only.
package totals

import (
	"log/slog"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/export"
	"github.com/crau-otel/crau-otel/mapping"
	"github.com/crau-otel/crau-otel/tracer"
	"github.com/crau-otel/crau-otel/wire"
)

// Totals are the counters of a run, from the kernel to the exporter.
type Totals struct {
	Traced      tracer.Stats
	Connections tracer.WireStats
	Handshakes  wire.Stats
	Mapped      mapping.Stats
	Exported    export.Stats
}

// Lost returns the number of lost hits by loss reason.
func (t *Totals) Lost() map[string]uint64 {
	return t.group(groupLost)
}

// LostPackets returns the number of packets of connections that could not be examined, by reason.
func (t *Totals) LostPackets() map[string]uint64 { return t.group(groupPackets) }

// group returns the values of the fields in a group, by name.
func (t *Totals) group(name string) map[string]uint64 {
	numbers := make(map[string]uint64)
	for _, f := range fields {
		if f.Group == name {
			numbers[f.Name] = f.value(t)
		}
	}
	return numbers
}

// Log logs all fields about hits, spans and trees on one line, including those that are 0. If connections were
// examined, it logs the fields about connections and packets on another line.
func (t *Totals) Log(log *slog.Logger) {
	var args []any
	connections := make([]any, 0, 2*len(fields))
	for i := 0; i < len(fields); {
		group := fields[i].Group
		var values []any
		for ; i < len(fields) && fields[i].Group == group; i++ {
			values = append(values, fields[i].Name, fields[i].value(t))
		}
		switch group {
		case "":
			args = append(args, values...)
		case groupConnections:
			connections = append(connections, values...)
		case groupPackets:
			connections = append(connections, slog.Group(group, values...))
		default:
			args = append(args, slog.Group(group, values...))
		}
	}
	log.Info("totals", args...)
	if t.Connections != (tracer.WireStats{}) {
		log.Info("connections", connections...)
	}
}
