// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/resource"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/metrics"
	"github.com/crau-otel/crau-otel/limits"
	"github.com/crau-otel/crau-otel/mapping"
	"github.com/crau-otel/crau-otel/mapping/contexts"
	"github.com/crau-otel/crau-otel/mapping/meaning"
	"github.com/crau-otel/crau-otel/mapping/registry"
	"github.com/crau-otel/crau-otel/mapping/shape"
	"github.com/crau-otel/crau-otel/test/needs"
)

// answers contains what Prometheus answers to each query of docs/queries.md about the programs of observe, in the order
// of the queries: the labels of the resulting series.
var answers = [][]string{
	{ // classical
		`{crypto_role="client", process_executable_name="curl"}`, `{crypto_role="client", process_executable_name="old"}`,
		`{crypto_role="client", process_executable_name="ssh"}`,
	},
	{`{process_executable_name="nginx"}`},
	{`{crypto_algorithm="rsa_pkcs1_sha1", process_executable_name="old"}`},
	{`{process_executable_name="curl"}`}, // downgraded handshakes
	{`{process_executable_name="old", tls_protocol_version="1.2"}`},
	{`{process_executable_name="old"}`}, // violations of a rule
	{`{crypto_policy_rule="before-tls-1.3", crypto_process_trust="system", process_executable_name="old"}`},
	{`{crypto_policy_rule="before-tls-1.3", process_executable_name="old"}`},
	{`{crypto_process_trust="user", process_executable_name="game"}`},
	{`{host_name="a", reason="ring_full"}`},
	{`{host_name="a"}`},
	{
		`{crypto_pqc_status="classical", process_executable_name="curl"}`, `{crypto_pqc_status="classical", process_executable_name="old"}`,
		`{crypto_pqc_status="classical", process_executable_name="ssh"}`, `{crypto_pqc_status="hybrid", process_executable_name="game"}`,
		`{crypto_pqc_status="hybrid", process_executable_name="nginx"}`, `{process_executable_name="odd"}`,
	},
}

// observe records handshakes and operations of some programs with package metrics, and returns the collected metrics.
func observe(t *testing.T) metricdata.ResourceMetrics {
	t.Helper()
	reader := sdkmetric.NewManualReader()
	m, err := metrics.New(metrics.Config{
		Reader: reader, Resource: resource.NewSchemaless(attribute.String("host.name", "a")), MaxSeries: 100,
		Health: func() metrics.Health {
			return metrics.Health{
				RingFill: 0.7,
				Lost: map[string]map[limits.Class]uint64{
					"ring_full": {limits.ClassUnknown: 5}, "sampled_out": {limits.ClassUnknown: 9},
				},
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	handshake := func(program, protocol, version string, status registry.Status, downgraded bool) mapping.Operation {
		return mapping.Operation{
			Executable: program, Name: "tls::handshake", Handshake: true, Role: "client", Status: status, Duration: 3 * time.Millisecond,
			ProtocolName: protocol, ProtocolVersion: version, Downgraded: downgraded, Library: meaning.FileTrusted,
		}
	}
	record := func(trust shape.ProcessTrust, class contexts.OwnerClass, operations ...mapping.Operation) {
		m.Record(mapping.Tree{Owner: mapping.Owner{ID: "x", Class: class}, Trust: trust, Operations: operations})
	}
	record(shape.TrustSystem, contexts.ClassSystem, handshake("nginx", "tls", "1.3", registry.Hybrid, false))
	record(shape.TrustSystem, contexts.ClassSystem, handshake("curl", "tls", "1.3", registry.Classical, true))
	old := handshake("old", "tls", "1.2", registry.Classical, false)
	old.Violations = []string{"before-tls-1.3"}
	record(shape.TrustSystem, contexts.ClassSystem, old, mapping.Operation{
		Executable: "old", Name: "tls::sign", Algorithm: "rsa_pkcs1_sha1", Role: "client", Status: registry.Classical,
	})
	record(shape.TrustSystem, contexts.ClassSystem, handshake("odd", "", "unknown", registry.NotApplicable, false))
	record(shape.TrustUser, contexts.ClassUser, handshake("game", "tls", "1.3", registry.Hybrid, false))
	ssh := handshake("ssh", "ssh", "", registry.Classical, false)
	ssh.Name = "ssh::handshake"
	record(shape.TrustUser, contexts.ClassUser, ssh)
	var collected metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &collected); err != nil {
		t.Fatal(err)
	}
	if err := m.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	return collected
}

// prometheusSeries returns the collected metrics as input series for promtool, one value per minute for an hour.
// Counters and histograms grow, gauges stay constant.
func prometheusSeries(t *testing.T, collected metricdata.ResourceMetrics) string {
	t.Helper()
	names := make(map[string]string)
	for _, i := range metrics.Instruments() {
		names[i.Name] = prometheusName(i)
	}
	var series strings.Builder
	add := func(name string, set attribute.Set, values string, more ...string) {
		labels := append([]string{`host_name="a"`}, more...)
		for _, a := range set.ToSlice() {
			labels = append(labels, fmt.Sprintf("%s=%q", strings.ReplaceAll(string(a.Key), ".", "_"), a.Value.String()))
		}
		fmt.Fprintf(&series, "  - series: '%s{%s}'\n    values: %s\n", name, strings.Join(labels, ", "), values)
	}
	for _, scope := range collected.ScopeMetrics {
		for _, m := range scope.Metrics {
			name := names[m.Name]
			switch data := m.Data.(type) {
			case metricdata.Sum[int64]:
				for _, p := range data.DataPoints {
					add(name, p.Attributes, fmt.Sprintf("0+%dx60", p.Value))
				}
			case metricdata.Gauge[float64]:
				for _, p := range data.DataPoints {
					add(name, p.Attributes, fmt.Sprintf("%gx60", p.Value))
				}
			case metricdata.Histogram[float64]:
				for _, p := range data.DataPoints {
					add(name+"_count", p.Attributes, fmt.Sprintf("0+%dx60", p.Count))
					below := uint64(0)
					for i, bound := range append(slices.Clone(p.Bounds), -1) {
						below += p.BucketCounts[i]
						le := map[bool]string{true: "+Inf", false: fmt.Sprint(bound)}[bound < 0]
						add(name+"_bucket", p.Attributes, fmt.Sprintf("0+%dx60", below), fmt.Sprintf("le=%q", le))
					}
				}
			}
		}
	}
	return series.String()
}

// Prometheus's answers to the queries of docs/queries.md are those in answers.
func TestPromQLAnswers(t *testing.T) {
	t.Parallel()
	queries := blocks(read(t, "docs/queries.md"), "promql")
	if len(queries) != len(answers) {
		t.Fatalf("%d queries and %d answers", len(queries), len(answers))
	}
	promtool := needs.Program(t, "promtool")
	var test strings.Builder
	test.WriteString("tests:\n- interval: 1m\n  input_series:\n" + prometheusSeries(t, observe(t)) + "  promql_expr_test:\n")
	for i, query := range queries {
		// Only the labels are compared, because rates are not round numbers.
		fmt.Fprintf(&test, "  - expr: |\n      (%s) > bool 0\n    eval_time: 60m\n    exp_samples:\n",
			strings.ReplaceAll(strings.TrimSpace(query), "\n", "\n        "))
		for _, labels := range answers[i] {
			fmt.Fprintf(&test, "    - {labels: '%s', value: 1}\n", labels)
		}
	}
	file := filepath.Join(t.TempDir(), "queries.yaml")
	if err := os.WriteFile(file, []byte(test.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(promtool, "test", "rules", file).CombinedOutput(); err != nil {
		t.Errorf("promtool: %v\n%s", err, out)
	}
}
