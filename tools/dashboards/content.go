// SPDX-License-Identifier: Apache-2.0

package main

import "github.com/grafana/grafana-foundation-sdk/go/dashboard"

// Parts of PromQL queries. The count of the histogram crypto_handshake_duration is the number of handshakes, and its
// label crypto_pqc_status is the status of the key exchange.
const (
	handshakes = `crypto_handshake_duration_seconds_count{host_name=~"$host", process_executable_name=~"$program"`
	signatures = `crypto_operations_total{host_name=~"$host", process_executable_name=~"$program", crypto_operation=~"tls::sign|tls::verify|ssh::sign|ssh::verify"`
	quantum    = `, crypto_pqc_status=~"post_quantum|hybrid"}`
	classical  = `, crypto_pqc_status="classical"}`
	judged     = `, crypto_pqc_status!=""}`

	classicalShare = `sum(increase(` + handshakes + classical + `[$__range])) / sum(increase(` + handshakes + judged + `[$__range]))`

	// The starts of the years 2031 and 2036 in seconds since 1970, and the number of seconds in an average month.
	after2030 = "1924992000"
	after2035 = "2082758400"
	month     = "2629746"
)

func selections(b *dashboard.DashboardBuilder) *dashboard.DashboardBuilder {
	return b.
		WithVariable(selection("host", "Host", "crypto_handshake_duration_seconds_count", "host_name")).
		WithVariable(selection("program", "Program", "crypto_handshake_duration_seconds_count", "process_executable_name"))
}

// readiness returns the dashboard that shows how far a fleet has migrated to post-quantum cryptography.
func readiness() *dashboard.DashboardBuilder {
	return selections(start("readiness", "post-quantum readiness",
		"How much of the cryptography in use is post-quantum, what is not, and how fast that has to change.")).
		WithPanel(number("Key exchange with a post-quantum part",
			"The share of handshakes whose key exchange is hybrid or post-quantum. What is recorded of the others can be read "+
				"with tomorrow's quantum computer.", "percentunit", size{6, 5},
			`sum(increase(`+handshakes+quantum+`[$__range])) / sum(increase(`+handshakes+judged+`[$__range]))`)).
		WithPanel(number("Authentication with a post-quantum part",
			"The share of signatures in handshakes, made and verified, that are hybrid or post-quantum.",
			"percentunit", size{6, 5},
			`(sum(increase(`+signatures+quantum+`[$__range])) or vector(0)) / sum(increase(`+signatures+judged+`[$__range]))`)).
		WithPanel(number("To migrate a month, until the end of 2030",
			"The share of handshakes that has to leave classical key exchange each month so that none is left when NIST "+
				"deprecates RSA and elliptic curves of 112 bits (IR 8547, draft).",
			"percentunit", size{6, 5}, classicalShare+` / ((`+after2030+` - time()) / `+month+`)`).Decimals(2)).
		WithPanel(number("To migrate a month, until the end of 2035",
			"The same until NIST disallows RSA and elliptic curves altogether (IR 8547, draft).",
			"percentunit", size{6, 5}, classicalShare+` / ((`+after2035+` - time()) / `+month+`)`).Decimals(2)).
		WithPanel(shares("Key exchange by status", "Handshakes by what protects the session.", size{12, 8},
			`sum by (crypto_pqc_status) (rate(`+handshakes+judged+`[$__rate_interval]))`, "{{crypto_pqc_status}}")).
		WithPanel(shares("Authentication by status", "Signatures in handshakes, made and verified.", size{12, 8},
			`sum by (crypto_pqc_status) (rate(`+signatures+judged+`[$__rate_interval]))`, "{{crypto_pqc_status}}")).
		WithPanel(list("Programs with classical key exchange", "Where to begin: the most handshakes first.", size{12, 9},
			`sum by (process_executable_name, host_name, crypto_role, tls_protocol_version) (increase(`+handshakes+classical+`[$__range])) > 0`)).
		WithPanel(list("Downgrades",
			"A client offered a post-quantum or hybrid group, and the key exchange was classical: the peer, or something on the "+
				"way, does not know the group.", size{12, 9},
			`sum by (process_executable_name, host_name) (increase(`+handshakes+`, crypto_pqc_downgraded="true"}[$__range])) > 0`)).
		WithPanel(graph("TLS versions", "Handshakes a second by version.", "ops", size{12, 8},
			`sum by (tls_protocol_version) (rate(`+handshakes+`, tls_protocol_version!=""}[$__rate_interval]))`,
			"{{tls_protocol_version}}")).
		WithPanel(list("Violations of the policy", "Spans that violate a rule.", size{12, 8},
			`sum by (process_executable_name, host_name, crypto_policy_rule) (increase(`+
				`crypto_policy_violations_total{host_name=~"$host", process_executable_name=~"$program"}[$__range])) > 0`)).
		WithPanel(found("Weak cryptography", "Weak even without a quantum computer: span attribute crypto.weak says why.",
			size{24, 9},
			`{ span.crypto.weak != nil } | select(resource.service.name, resource.host.name, span.crypto.weak)`))
}

// program returns the dashboard that shows which cryptography the selected hosts and programs use.
func program() *dashboard.DashboardBuilder {
	return selections(start("program", "hosts and programs", "The cryptography that the selected programs use on the selected hosts.")).
		WithPanel(graph("Handshakes a second", "By role and by the status of the key exchange.", "ops", size{12, 8},
			`sum by (crypto_role, crypto_pqc_status) (rate(`+handshakes+`}[$__rate_interval]))`,
			"{{crypto_role}} {{crypto_pqc_status}}")).
		WithPanel(graph("Duration of handshakes", "From a handshake's first event to its last.", "s", size{12, 8},
			`histogram_quantile(0.5, sum by (le) (rate(crypto_handshake_duration_seconds_bucket{host_name=~"$host", process_executable_name=~"$program"}[$__rate_interval])))`, "half of them within",
			`histogram_quantile(0.99, sum by (le) (rate(crypto_handshake_duration_seconds_bucket{host_name=~"$host", process_executable_name=~"$program"}[$__rate_interval])))`, "99% within")).
		WithPanel(list("Algorithms", "Groups, signature schemes and algorithms of public key operations.", size{12, 10},
			`sum by (crypto_operation, crypto_algorithm, crypto_pqc_status) (increase(`+
				`crypto_operations_total{host_name=~"$host", process_executable_name=~"$program"}[$__range])) > 0`)).
		WithPanel(list("Handshakes", "By version and by the status of the key exchange.", size{12, 10},
			`sum by (process_executable_name, crypto_role, tls_protocol_version, crypto_pqc_status) (increase(`+
				handshakes+`}[$__range])) > 0`)).
		WithPanel(found("Newest handshakes", "", size{24, 10},
			`{ span:name =~ "tls::handshake|ssh::handshake" && resource.host.name =~ "$host" && resource.service.name =~ "$program" }`+
				` | select(resource.service.name, span.tls.role, span.tls.protocol.version, span.tls.group.name, `+
				`span.crypto.pqc.key_exchange.status, span.crypto.pqc.authentication.status)`))
}

// health returns the dashboard that shows whether crau-otel loses data.
func health() *dashboard.DashboardBuilder {
	const on = `{host_name=~"$host"}`
	return start("health", "health of crau-otel", "Whether the audit is whole: what was lost, and why.").
		WithVariable(selection("host", "Host", "crau_otel_hits_total", "host_name")).
		WithPanel(number("Hosts", "Hosts that report.", "short", size{6, 5}, `count(count by (host_name) (crau_otel_hits_total`+on+`))`)).
		WithPanel(number("Events not exported", "The share of probe hits that no exported span contains.", "percentunit", size{6, 5},
			`sum(increase(crau_otel_events_lost_total`+on+`[$__range])) / sum(increase(crau_otel_hits_total`+on+`[$__range]))`)).
		WithPanel(number("Spans exported", "", "short", size{6, 5},
			`sum(increase(crau_otel_spans_total{host_name=~"$host", outcome="exported"}[$__range]))`)).
		WithPanel(number("Contexts open", "Contexts in unfinished trees.", "short", size{6, 5}, `sum(crau_otel_contexts_open`+on+`)`)).
		WithPanel(graph("Probe hits a second", "", "ops", size{12, 8},
			`sum by (host_name) (rate(crau_otel_hits_total`+on+`[$__rate_interval]))`, "{{host_name}}")).
		WithPanel(graph("Events lost a second, by reason", "docs/accounting.md says what each reason means.", "ops", size{12, 8},
			`sum by (reason) (rate(crau_otel_events_lost_total`+on+`[$__rate_interval]))`, "{{reason}}")).
		WithPanel(graph("Spans a second, by outcome", "", "ops", size{12, 8},
			`sum by (outcome) (rate(crau_otel_spans_total`+on+`[$__rate_interval]))`, "{{outcome}}")).
		WithPanel(graph("Ring buffer", "The part that waits to be read. At 1, events are lost as ring_full.", "percentunit", size{12, 8},
			`max by (host_name) (crau_otel_ring_fill_ratio`+on+`)`, "{{host_name}}"))
}
