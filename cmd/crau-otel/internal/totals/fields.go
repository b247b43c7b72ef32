// SPDX-License-Identifier: Apache-2.0

package totals

import "slices"

// Field is one number of the totals.
type Field struct {
	Group   string // events, lost, marked, connections, packets, or "" for a field outside any group
	Name    string // name within the group; in group lost, the loss reason as in the metric crau_otel.events.lost
	Meaning string // for documentation, in Markdown

	value func(*Totals) uint64
}

// Key returns the field's name in the log line, such as lost.ring_full.
func (f Field) Key() string {
	if f.Group == "" {
		return f.Name
	}
	return f.Group + "." + f.Name
}

const (
	groupEvents = "events"
	groupLost   = "lost"
	groupMarked = "marked"

	// groupConnections counts connections by outcome. Its field seen is the sum of its other fields.
	groupConnections = "connections"
	fieldSeen        = "seen"
	fieldOther       = "other"
	// groupPackets counts the lost packets of connections.
	groupPackets = "packets"
)

// fields lists the numbers in the order in which they are logged and documented.
var fields = []Field{
	{
		"", "hits", "Probe hits, as the kernel counted them.",
		func(t *Totals) uint64 { return t.Traced.Hits },
	},
	{
		"", "spans", "Spans that were exported.",
		func(t *Totals) uint64 { return t.Exported.Exported.Spans },
	},
	{
		"", "trees", "Trees that were finished.",
		func(t *Totals) uint64 { return t.Mapped.Trees },
	},
	{
		groupEvents, "exported", "Hits that exported spans were made of.",
		func(t *Totals) uint64 { return t.Exported.Exported.Events },
	},
	{
		groupEvents, "session", "Hits at the entry points of a library. They identify the session and make no span.",
		func(t *Totals) uint64 { return t.Mapped.Sessions },
	},
	{
		groupLost, "ring_full", "The buffer between kernel and agent was full. Raise `ring.size`.",
		func(t *Totals) uint64 { return t.Traced.RingFull },
	},
	{
		groupLost, "fault", "The arguments, or the array they point to, could not be read from the process.",
		func(t *Totals) uint64 { return t.Traced.Fault },
	},
	{
		groupLost, "busy", "Too many hits on one CPU were interrupted by page faults.",
		func(t *Totals) uint64 { return t.Traced.Busy },
	},
	{
		groupLost, "malformed", "The probe site was already detached, or the record could not be decoded.",
		func(t *Totals) uint64 { return t.Traced.Malformed + t.Traced.Undecodable },
	},
	{
		groupLost, "rate_limited", "The process exceeded `limits.process_rate`, or its share of the buffer.",
		func(t *Totals) uint64 { return t.Traced.RateLimited },
	},
	{
		groupLost, "owner_limited", "The processes of one owner used up its share of the buffer, for example by starting very many.",
		func(t *Totals) uint64 { return t.Traced.OwnerLimited },
	},
	{
		groupLost, "queue_full", "The export queue was full because the receiver was away or slow.",
		func(t *Totals) uint64 { return t.Exported.QueueFull.Events },
	},
	{
		groupLost, "export_failed", "The receiver rejected the spans, or the time to shut down was over.",
		func(t *Totals) uint64 { return t.Exported.Failed.Events },
	},
	{
		groupLost, "sampled_out", "`OTEL_TRACES_SAMPLER` left the tree out.",
		func(t *Totals) uint64 { return t.Exported.SampledOut.Events },
	},
	{
		groupLost, "hidden", "`scopes` excludes the context.",
		func(t *Totals) uint64 { return t.Traced.Hidden + t.Mapped.Hidden },
	},
	{
		groupMarked, "truncated",
		"Events with a key, value or array that was cut at its limit; `crypto.context.truncated` names it.",
		func(t *Totals) uint64 { return t.Traced.Truncated },
	},
	{
		groupMarked, "missing_pairs",
		"Keys that could not be read, of events that arrived; their spans have `crypto.incomplete`.",
		func(t *Totals) uint64 { return t.Traced.PairFaults },
	},
	{
		groupMarked, "evicted_trees", "Trees that were ended early because a limit was reached.",
		func(t *Totals) uint64 { return t.Mapped.Evicted },
	},
	{
		groupMarked, "dropped_attributes",
		"Keys beyond `OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT`, of spans that were exported without them.",
		func(t *Totals) uint64 { return t.Mapped.DroppedAttributes.Total() },
	},
	{
		groupConnections, fieldSeen, "TCP connections that sent or received data while `wire.enabled`; the sum of the next ones.",
		func(t *Totals) uint64 { return t.Connections.Seen },
	},
	{
		groupConnections, "reported", "Connections whose TLS or SSH handshake made a tree, or part of one.",
		func(t *Totals) uint64 { return t.Handshakes.Reported },
	},
	{
		groupConnections, fieldOther, "Connections that showed neither TLS nor SSH.",
		func(t *Totals) uint64 { return t.otherConnections() },
	},
	{
		groupConnections, "old", "Connections that had sent or received data before the agent started.",
		func(t *Totals) uint64 { return t.Connections.Old },
	},
	{
		groupConnections, "denied",
		"Connections that `wire.deny_ports` or `wire.deny_cgroups` excludes, and under `exec` TLS and SSH of other programs.",
		func(t *Totals) uint64 { return t.Connections.Excluded + t.Handshakes.Foreign },
	},
	{
		groupConnections, "ring_full", "TLS or SSH, but the buffer between kernel and agent was full.",
		func(t *Totals) uint64 { return t.Connections.RingFull },
	},
	{
		groupConnections, "rate_limited", "TLS or SSH, but the owner of the connection used up its share of the buffer.",
		func(t *Totals) uint64 { return t.Connections.RateLimited },
	},
	{
		groupConnections, "unanswered", "TLS or SSH, but the connection ended before its process sent anything.",
		func(t *Totals) uint64 { return t.Handshakes.Unanswered },
	},
	{
		groupConnections, "malformed", "What started like TLS or SSH was neither.",
		func(t *Totals) uint64 { return t.Handshakes.Malformed },
	},
	{
		groupConnections, "too_long", "The hello did not fit the first 32 packets and 16 KiB.",
		func(t *Totals) uint64 { return t.Handshakes.TooLong },
	},
	{
		groupConnections, "evicted", "Too many connections had sent a hello and got no answer yet.",
		func(t *Totals) uint64 { return t.Handshakes.Evicted },
	},
	{
		groupPackets, "lost", "Packets of TLS and SSH connections for which the buffer had no room; their content is missing from the trees of those connections.",
		func(t *Totals) uint64 { return t.Connections.RecordsLost },
	},
	{
		groupPackets, "no_memory", "Packets of connections that are not in `connections.seen`: the kernel had no memory for them.",
		func(t *Totals) uint64 { return t.Connections.NoStorage },
	},
}

// otherConnections returns the number of connections that were not recognized as TLS or SSH. It includes open
// connections that may still be recognized.
func (t *Totals) otherConnections() uint64 {
	c := &t.Connections
	return c.Seen - c.Sent - c.Old - c.Excluded - c.RingFull - c.RateLimited
}

// Outcomes returns the number of connections by outcome. The keys are the names of the fields in group connections.
// Unlike the field other, the outcome other does not count open connections that may still be recognized as TLS or SSH.
func (t *Totals) Outcomes() map[string]uint64 {
	outcomes := make(map[string]uint64)
	for _, f := range outcomeFields() {
		outcomes[f.Name] = f.value(t)
	}
	outcomes[fieldOther] = t.Connections.Other
	return outcomes
}

// outcomeFields returns the fields that count connections by outcome.
func outcomeFields() []Field {
	return slices.DeleteFunc(Fields(), func(f Field) bool { return f.Group != groupConnections || f.Name == fieldSeen })
}

// OutcomeNames returns the names of the outcomes of connections.
func OutcomeNames() []string {
	var names []string
	for _, f := range outcomeFields() {
		names = append(names, f.Name)
	}
	return names
}

// Fields returns every number of the totals, in the order in which they are logged.
func Fields() []Field { return slices.Clone(fields) }

// LossReasons returns the fields that count lost hits, one for each loss reason.
func LossReasons() []Field {
	return slices.DeleteFunc(Fields(), func(f Field) bool { return f.Group != groupLost })
}
