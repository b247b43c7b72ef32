// SPDX-License-Identifier: Apache-2.0

//go:build fleet

package fleet

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/crau-otel/crau-otel/test/harness"
)

// panels returns the queries of all dashboards for one type of data source, by dashboard and panel title.
func panels(t *testing.T, source string) map[string][]string {
	t.Helper()
	files, err := filepath.Glob(root + "/examples/grafana/dashboards/*.json")
	if err != nil || len(files) != 3 {
		t.Fatalf("dashboards: %q, %v", files, err)
	}
	found := map[string][]string{}
	for _, file := range files {
		var d struct {
			Panels []struct {
				Title      string
				Datasource struct{ Type string }
				Targets    []struct{ Expr, Query string }
			}
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, &d); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for _, p := range d.Panels {
			if len(p.Targets) == 0 {
				t.Errorf("%s: panel %q asks nothing", file, p.Title)
			}
			if p.Datasource.Type != source {
				continue
			}
			for _, target := range p.Targets {
				name := filepath.Base(file) + ", " + p.Title
				found[name] = append(found[name], target.Expr+target.Query)
			}
		}
	}
	return found
}

// promQL evaluates a PromQL query at the current time and returns the values of the resulting series.
func promQL(t *testing.T, api, query string) []string {
	t.Helper()
	client := http.Client{Timeout: patience}
	resp, err := client.Get(api + "/api/v1/query?" + url.Values{"query": {query}}.Encode())
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var answer struct {
		Status string
		Data   struct{ Result []struct{ Value []any } }
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer.Status != "success" {
		t.Fatalf("%s: %s", query, body)
	}
	var values []string
	for _, r := range answer.Data.Result {
		values = append(values, fmt.Sprint(r.Value[1]))
	}
	return values
}

// Every PromQL panel of the dashboards shows data after the sample program has made handshakes of each kind and a real
// Prometheus has scraped the gateway.
func TestDashboardsShowData(t *testing.T) {
	c := startChain(t, 100)
	dir, listen := t.TempDir(), harness.UnusedAddress(t)
	config := filepath.Join(dir, "prometheus.yml")
	text := fmt.Sprintf("global: {scrape_interval: 1s}\nscrape_configs:\n- job_name: gateway\n  static_configs:\n  - targets: [%q]\n",
		strings.TrimSuffix(strings.TrimPrefix(c.prometheus, "http://"), "/metrics"))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, "prometheus", listening(listen), nil,
		"--config.file", config, "--storage.tsdb.path", filepath.Join(dir, "data"), "--web.listen-address", listen)

	policy := "CRAU_POLICY_NAME=hybrid-ok"
	agent, sample := audit(t, c.otlp, "sample", policy)
	end := time.Now().Add(20 * time.Second)
	for time.Now().Before(end) { // increase() needs several samples
		harness.RunSample(t, sample, "--rate", "0", "--count", "2")
		harness.RunSample(t, sample, "--rate", "0", "--count", "2", "--version", "1.2")
		harness.RunSample(t, sample, "--rate", "0", "--count", "2", "--offer", "4588,23", "--group", "23")
		time.Sleep(500 * time.Millisecond)
	}
	variables := strings.NewReplacer("$__range", "1m", "$__rate_interval", "10s", "$host", ".*", "$program", ".*")
	for name, queries := range panels(t, "prometheus") {
		for _, q := range queries {
			values := promQL(t, "http://"+listen, variables.Replace(q))
			if len(values) == 0 {
				t.Errorf("%s: no data for %s", name, q)
			}
			for _, v := range values {
				if v == "NaN" {
					t.Errorf("%s: NaN for %s", name, q)
				}
			}
		}
	}
	agent.Stop()
}

// TraceQL panels use only attributes that exist. The test compares their names with the registry of attributes, because
// no Tempo is available.
func TestDashboardsAskForKnownAttributes(t *testing.T) {
	var registry struct {
		Groups []struct {
			Attributes []struct{ ID, Ref string }
		}
	}
	text, err := os.ReadFile(root + "/semconv/attributes.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, &registry); err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{"host.name": true} // attribute of the host's resource
	for _, g := range registry.Groups {
		for _, a := range g.Attributes {
			known[a.ID+a.Ref] = true
		}
	}
	all := panels(t, "tempo")
	if len(all) == 0 {
		t.Fatal("no TraceQL panels")
	}
	for name, queries := range all {
		for _, q := range queries {
			attributes := regexp.MustCompile(`(?:span|resource)\.([a-z0-9_.]+)`).FindAllStringSubmatch(q, -1)
			if len(attributes) == 0 {
				t.Errorf("%s: no attribute in %s", name, q)
			}
			for _, a := range attributes {
				if !known[a[1]] {
					t.Errorf("%s: no attribute %s", name, a[1])
				}
			}
		}
	}
}

// The dashboards in the repository are equal to the output of their generator.
func TestDashboardsAreUpToDate(t *testing.T) {
	dir := t.TempDir()
	generate := exec.Command("go", "run", "./dashboards", dir)
	generate.Dir = root + "/tools"
	if out, err := generate.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	diff := exec.Command("diff", "-r", dir, root+"/examples/grafana/dashboards")
	if out, err := diff.CombinedOutput(); err != nil {
		t.Errorf("run make docs: %v\n%.1000s", err, out)
	}
}

// The alerts fire exactly when examples/prometheus/alerts_test.yaml says.
func TestAlertsFireWhenTheyShould(t *testing.T) {
	for _, args := range [][]string{{"check", "rules", "alerts.yaml"}, {"test", "rules", "alerts_test.yaml"}} {
		promtool := exec.Command("promtool", args...)
		promtool.Dir = root + "/examples/prometheus"
		if out, err := promtool.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

// The collector configurations are valid. A misspelled field in them is an error.
func TestCollectorAcceptsItsConfigurations(t *testing.T) {
	for _, file := range []string{"otel-collector.yaml", "examples/collector/host.yaml", "examples/collector/gateway.yaml", "examples/compose/collector.yaml", "examples/kubernetes/collector.yaml"} {
		text, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			t.Fatal(err)
		}
		if out, err := validate(t, file, text); err != nil {
			t.Errorf("%s: %v\n%s", file, err, out)
		}
		broken := strings.Replace(string(text), "exporters: [", "exporters: [no_", 1)
		if out, err := validate(t, file, []byte(broken)); err == nil {
			t.Errorf("%s: accepted with an exporter that does not exist: %s", file, out)
		}
	}
}

func validate(t *testing.T, name string, text []byte) ([]byte, error) {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, filepath.Base(name))
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program(t, "otelcol"), "validate", "--config", file)
	cmd.Env = append(os.Environ(), "QUEUE_DIR="+dir)
	return cmd.CombinedOutput()
}
