// SPDX-License-Identifier: Apache-2.0

//go:build fleet

package fleet

import (
	"context"
	"crypto/rand"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	resource "go.opentelemetry.io/proto/otlp/resource/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/crau-otel/crau-otel/test/harness"
)

// outage is how long each hop is stopped.
const outage = 30 * time.Second

// audit starts crau-otel, which exports to an OTLP endpoint, and makes it trace a copy of the sample program with the
// given name. It returns the agent and the path of the copy.
func audit(t testing.TB, endpoint, name string, env ...string) (agent *harness.TestAgent, sample string) {
	t.Helper()
	sample = harness.Copy(t, harness.Sample(t, root), filepath.Join(t.TempDir(), name))
	return harness.Start(t, harness.AgentConfig{
		Path: root + "/bin/crau-otel",
		Env:  append([]string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://" + endpoint, "OTEL_METRIC_EXPORT_INTERVAL=1000"}, env...),
		Args: []string{"--library", sample},
	}), sample
}

// If one hop is killed, and started again within the time that the queues before it can bridge, no tree is lost: all
// trees are in Jaeger, whole. This holds for each hop.
func TestOutagesOfEachHopLoseNothing(t *testing.T) {
	c := startChain(t, 100)
	for _, h := range []struct {
		name string
		hop  *hop
	}{{"collector", c.collector}, {"broker", c.broker}, {"gateway", c.gateway}, {"jaeger", c.jaeger}} {
		t.Run(h.name, func(t *testing.T) { killUnderLoad(t, c, h.hop, "without-"+h.name) })
	}
}

func killUnderLoad(t *testing.T, c *chain, h *hop, service string) {
	agent, path := audit(t, c.otlp, service)
	ctx, stop := context.WithTimeout(t.Context(), 5*time.Minute)
	defer stop()
	sample := exec.CommandContext(ctx, path, "--rate", "5")
	var printed output
	sample.Stdout, sample.Stderr = &printed, &printed
	if err := sample.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the first tree in Jaeger", func() bool { return len(search(t, c.query, service)) > 0 })
	h.kill()
	time.Sleep(outage)
	h.start()
	time.Sleep(2 * time.Second)
	if err := sample.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	_ = sample.Wait()
	hits, err := harness.ParseFired(printed.String())
	if err != nil {
		t.Fatal(err)
	}
	totals := agent.Stop()
	totals.CheckExact(t, hits)
	if lost := harness.Totals(totals).Lost(); len(lost) > 0 {
		t.Errorf("crau-otel lost %v", lost)
	}
	pairs := hits / harness.RunSample(t, path, "--count", "1")
	var spans []*harness.Span
	for end := time.Now().Add(patience); len(spans) < totals["spans"] && time.Now().Before(end); {
		time.Sleep(time.Second)
		spans = search(t, c.query, service)
	}
	t.Logf("%d pairs of handshakes, %d of %d spans in Jaeger", pairs, len(spans), totals["spans"])
	harness.CheckPairs(t, service, spans, pairs)
}

// The gateway keeps the trees that need attention and drops all others. The metrics count all trees.
func TestGatewayKeepsWhatSomebodyHasToLookAt(t *testing.T) {
	c := startChain(t, 0)
	judged, violator := audit(t, c.otlp, "violator", "CRAU_POLICY_NAME=hybrid-ok")
	harness.RunSample(t, violator, "--rate", "0", "--count", "3", "--version", "1.2")
	plain, quiet := audit(t, c.otlp, "quiet")
	downgraded, offering := audit(t, c.otlp, "downgraded")
	harness.RunSample(t, quiet, "--rate", "0", "--count", "3")
	harness.RunSample(t, offering, "--rate", "0", "--count", "3", "--offer", "4588,23", "--group", "23")
	for _, a := range []*harness.TestAgent{judged, plain, downgraded} {
		a.Stop()
	}
	send(t, c.otlp, "weak", &common.KeyValue{Key: "crypto.weak", Value: &common.AnyValue{
		Value: &common.AnyValue_ArrayValue{ArrayValue: &common.ArrayValue{Values: []*common.AnyValue{text("sha1_signature")}}},
	}})
	send(t, c.otlp, "strong", &common.KeyValue{Key: "crypto.pqc.key_exchange.status", Value: text("hybrid")})

	// Only the client reports which groups it offered, so only clients' trees are downgrades.
	for service, want := range map[string]int{"violator": 6, "downgraded": 3, "weak": 1} {
		eventually(t, "the trees of "+service, func() bool { return countRoots(search(t, c.query, service)) >= want })
		spans := search(t, c.query, service)
		if n := len(harness.Trees(t, spans)); n != want {
			t.Errorf("%s: %d trees, want %d", service, n, want)
		}
	}
	for _, service := range []string{"quiet", "strong"} {
		if spans := search(t, c.query, service); len(spans) > 0 {
			t.Errorf("%s: %d spans were kept", service, len(spans))
		}
	}
	for _, series := range []struct {
		want  string
		parts []string
	}{
		{"3", []string{"crypto_handshake_duration_seconds_count{", `process_executable_name="quiet"`, `crypto_role="client"`}},
		{"3", []string{"crypto_spans_calls_total{", `service_name="quiet"`, `span_name="tls::handshake"`, `tls_role="client"`}},
	} {
		var found []string
		eventually(t, series.parts[0], func() bool {
			found = scrape(t, c.prometheus, series.parts...)
			return len(found) == 1 && strings.HasSuffix(found[0], " "+series.want)
		})
	}
}

// send sends one span with an attribute to an OTLP endpoint.
func send(t *testing.T, endpoint, service string, kv *common.KeyValue) {
	t.Helper()
	conn, err := grpc.NewClient(endpoint, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	now, id := uint64(time.Now().UnixNano()), make([]byte, 16)
	_, _ = rand.Read(id)
	_, err = collector.NewTraceServiceClient(conn).Export(t.Context(), &collector.ExportTraceServiceRequest{
		ResourceSpans: []*trace.ResourceSpans{{
			Resource: &resource.Resource{Attributes: []*common.KeyValue{{Key: "service.name", Value: text(service)}}},
			ScopeSpans: []*trace.ScopeSpans{{Spans: []*trace.Span{{
				TraceId: id, SpanId: id[:8], Name: "tls::handshake",
				StartTimeUnixNano: now, EndTimeUnixNano: now, Attributes: []*common.KeyValue{kv},
			}}}},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
}

func text(s string) *common.AnyValue {
	return &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: s}}
}

func countRoots(spans []*harness.Span) (n int) {
	for _, s := range spans {
		if s.Parent == "" {
			n++
		}
	}
	return n
}
