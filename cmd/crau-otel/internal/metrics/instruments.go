// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"strings"

	"go.opentelemetry.io/otel/attribute"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/totals"
	"github.com/crau-otel/crau-otel/probes/untraced"
)

// Instrument documents one instrument. Attributes lists keys, separated by commas. docs/metrics.md is generated from
// the values of this type.
type Instrument struct {
	Name, Type, Unit, Attributes, Meaning string
}

// trusts lists the attributes that say whether the reports that were counted can be believed.
const trusts = "crypto.library.trusted, crypto.process.trust, crypto.owner.class"

// The instruments.
var (
	operations = Instrument{
		"crypto.operations", "counter", "{operation}",
		"process.executable.name, crypto.operation, crypto.algorithm, crypto.role, crypto.pqc.status, " + trusts,
		"Uses of cryptography: negotiated key exchanges, signatures made and verified, public key operations. " +
			"Shares that were only offered, and the making of their keys, are not counted.",
	}
	violations = Instrument{
		"crypto.policy.violations", "counter", "{violation}",
		"process.executable.name, crypto.policy.rule, " + trusts, "Spans that violate a rule of the policy.",
	}
	handshakes = Instrument{
		"crypto.handshake.duration", "histogram", "s",
		"process.executable.name, crypto.operation, crypto.role, crypto.pqc.status, tls.protocol.name, tls.protocol.version, " +
			"crypto.pqc.downgraded, " + trusts,
		"Time from a handshake's first event to its last; the status is its key exchange's.",
	}
	hits = Instrument{
		"crau_otel.hits", "counter", "{hit}", "", "Probe hits, as the kernel counted them.",
	}
	lost = Instrument{
		"crau_otel.events.lost", "counter", "{event}", "reason, owner.class",
		"Probe hits that no exported span contains: " + lossReasons() + ". The class says whose they were; it is unknown for " +
			"what is not lost by an owner's doing, such as export_failed.",
	}
	connectionsSeen = Instrument{
		"crau_otel.connections.seen", "counter", "{connection}", "",
		"TCP connections that sent or received data while connections are examined. Those not in " +
			"crau_otel.connections.finished have not shown yet what they are, or were not answered yet.",
	}
	connections = Instrument{
		"crau_otel.connections.finished", "counter", "{connection}", "outcome",
		"Connections by outcome: " + oneOf(totals.OutcomeNames()) + ".",
	}
	packetsLost = Instrument{
		"crau_otel.packets.lost", "counter", "{packet}", "reason",
		"Packets of connections that could not be examined: the buffer was full (lost), or the kernel had no memory for the " +
			"connection, which is then not in crau_otel.connections.seen (no_memory).",
	}
	openContexts = Instrument{
		"crau_otel.contexts.open", "gauge", "{context}", "", "Contexts in unfinished trees.",
	}
	spans = Instrument{
		"crau_otel.spans", "counter", "{span}", "outcome",
		"Spans by outcome: exported, failed, queue_full or sampled_out.",
	}
	reached = Instrument{
		"crau_otel.limits.reached", "counter", "{item}", "limit, owner.class",
		"What limits cost their owners, in the unit of the limit: files, sites, hits, trees, spans and so on.",
	}
	untracedFiles = Instrument{
		"crau_otel.files.untraced", "gauge", "{file}", "reason",
		"Known files that carry probes, or may, and are not traced, or only in part: " + untracedReasons() + ".",
	}
	silentProcesses = Instrument{
		"crau_otel.processes.silent", "gauge", "{process}", "",
		"Processes that discovery has set aside because they, or others of their owner, do not answer.",
	}
	ringFill = Instrument{
		"crau_otel.ring.fill", "gauge", "1", "", "The part of the ring buffer that waits to be read, 0 to 1.",
	}
)

// lossReasons lists the loss reasons for documentation.
func lossReasons() string {
	reasons := totals.LossReasons()
	names := make([]string, len(reasons))
	for i, r := range reasons {
		names[i] = r.Name
	}
	return oneOf(names)
}

// untracedReasons lists the reasons why files are not traced, for documentation.
func untracedReasons() string {
	var names []string
	for _, r := range untraced.Reasons() {
		names = append(names, string(r.Reason))
	}
	return oneOf(names)
}

// oneOf formats names as "a, b or c".
func oneOf(names []string) string {
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

// Instruments returns every instrument, in the order of docs/metrics.md.
func Instruments() []Instrument {
	return []Instrument{
		operations, violations, handshakes, hits, lost, connectionsSeen, connections, packetsLost, openContexts, spans, reached,
		untracedFiles, silentProcesses, ringFill,
	}
}

// The attributes of the instruments.
const (
	keyExecutable = attribute.Key("process.executable.name")
	keyOperation  = attribute.Key("crypto.operation")
	keyAlgorithm  = attribute.Key("crypto.algorithm")
	keyRole       = attribute.Key("crypto.role")
	keyStatus     = attribute.Key("crypto.pqc.status")
	keyProtocol   = attribute.Key("tls.protocol.name")
	keyVersion    = attribute.Key("tls.protocol.version")
	keyDowngraded = attribute.Key("crypto.pqc.downgraded")
	keyRule       = attribute.Key("crypto.policy.rule")
	keyClass      = attribute.Key("crypto.owner.class")
	keyTrust      = attribute.Key("crypto.process.trust")
	keyLibrary    = attribute.Key("crypto.library.trusted")
	keyReason     = attribute.Key("reason")
	keyOutcome    = attribute.Key("outcome")
	keyLimit      = attribute.Key("limit")
	keyOwnerClass = attribute.Key("owner.class")
)
