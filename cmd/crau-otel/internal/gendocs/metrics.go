// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/metrics"
)

// described documents the attributes of the instruments.
var described = []struct{ key, meaning string }{
	{"process.executable.name", "The observed program."},
	{"crypto.operation", "The span's name: `tls::key_exchange`, `tls::sign`, `pk::verify` and so on; a handshake's in its duration."},
	{"crypto.algorithm", "The name of the group, signature scheme or algorithm, if the library reported it."},
	{"crypto.role", "client or server, in operations that belong to a handshake."},
	{"crypto.pqc.status", "post_quantum, hybrid, classical or unknown. Operations have their own status, handshakes their key exchange's; none if there is no key exchange, as in a resumption."},
	{"tls.protocol.name", "`tls`, `dtls` or `ssl`: the protocol of a handshake, if the library reported it."},
	{"tls.protocol.version", "`1.3` and the like: the protocol's version, `unknown` for a number that no registry has."},
	{"crypto.pqc.downgraded", "true if a client offered a post-quantum or hybrid group and got a classical key exchange."},
	{"crypto.policy.rule", "The name of the violated rule."},
	{"crypto.library.trusted", "true if only root can write the file that reported it, false if not; none if a connection did."},
	{"crypto.process.trust", "Whether what the process reports about itself can be believed: see [attributes.md](attributes.md#values-of-cryptoprocesstrust)."},
	{"crypto.owner.class", "Who the process counts against: root, system, container or user."},
	{"reason", "Why events or packets were lost: see [accounting](accounting.md). Why files are not traced: see [discovery](discovery.md#files-that-are-not-traced)."},
	{"limit", "The limit that was reached: see [limits](limits.md)."},
	{"owner.class", "root, system, user or container: whose share it was; unknown where the kernel counts without owners."},
	{"outcome", "The outcome of spans, as above, or of connections: see [accounting](accounting.md)."},
}

// agentResource documents the resource attributes of the metrics, except for those of the host.
var agentResource = []struct{ key, meaning string }{
	{"service.name", "`crau-otel`: the metrics belong to the agent, and the observed program is an attribute."},
	{"service.version", "Its version."},
	{"service.instance.id", "A UUID made from the host, so that receivers tell agents apart."},
}

func metricsPage() string {
	p := &page{}
	p.WriteString(generated + "# Metrics\n")
	p.text(
		"With the OTLP exporter, metrics are sent where spans are sent, over OTLP/gRPC, every",
		"`OTEL_METRIC_EXPORT_INTERVAL` milliseconds (60000 by default). `OTEL_METRICS_EXPORTER=none` turns them",
		"off; `OTEL_METRICS_EXPORTER=otlp` turns them on with another exporter for spans. They count everything",
		"that was observed, whether or not its spans are sampled. Counters and the histogram are cumulative unless",
		"`OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE` says otherwise.")
	p.section("Instruments")
	var rows [][]string
	for _, i := range metrics.Instruments() {
		rows = append(rows, []string{code(i.Name), code(prometheusName(i)), i.Type, code(i.Unit), code(attributesOf(i)...), i.Meaning})
	}
	p.table([]string{"instrument", "in Prometheus", "type", "unit", "attributes", "meaning"}, rows)
	p.text(
		"The names in Prometheus are those that its OTLP receiver and the collector's exporters make by default.",
		"The series of a histogram end in `_bucket`, `_sum` and `_count`. In labels, dots become underscores.")
	p.section("Attributes")
	rows = nil
	for _, a := range described {
		rows = append(rows, []string{code(a.key), a.meaning})
	}
	p.table([]string{"attribute", "meaning"}, rows)
	p.text(
		"An attribute without a value is omitted. An instrument has at most `metrics.max_series` series; what",
		"exceeds them is counted in one series with the single attribute `otel.metric.overflow`. An owner, which is a",
		"service or a user, may add series only while it has fewer than are free, so that inventing names of",
		"programs cannot use up the series of others.")
	p.section("Resource")
	rows = nil
	for _, a := range agentResource {
		rows = append(rows, []string{code(a.key), a.meaning})
	}
	p.table([]string{"attribute", "meaning"}, rows)
	p.text("The attributes of the host are the same as for spans: see [attributes.md](attributes.md).")
	return p.String()
}

// attributesOf returns the keys of an instrument's attributes.
func attributesOf(i metrics.Instrument) []string {
	if i.Attributes == "" {
		return nil
	}
	return strings.Split(i.Attributes, ", ")
}

// prometheusName returns the name of an instrument in Prometheus, according to "Prometheus and OpenMetrics
// Compatibility" of the OpenTelemetry specification: a suffix for the unit, unless the unit is in braces, and _total
// for a counter.
func prometheusName(i metrics.Instrument) string {
	name := strings.ReplaceAll(i.Name, ".", "_")
	switch {
	case i.Unit == "s":
		name += "_seconds"
	case i.Unit == "1" && i.Type == "gauge":
		name += "_ratio"
	}
	if i.Type == "counter" {
		name += "_total"
	}
	return name
}
