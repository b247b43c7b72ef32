// SPDX-License-Identifier: Apache-2.0

//go:build fleet

package fleet

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/crau-otel/crau-otel/test/harness"
)

// Jaeger's search finds crau-otel's trees by the attributes that docs/queries.md uses. Its services are the traced
// programs, and the trees have their original shape and attributes.
func TestJaegerShowsTheTrees(t *testing.T) {
	_, api, otlp := startJaeger(t, t.TempDir())
	hybrid, sample := audit(t, otlp, "hybrid")
	harness.RunSample(t, sample, "--rate", "0", "--count", "2")
	old, sampleOld := audit(t, otlp, "classical")
	harness.RunSample(t, sampleOld, "--rate", "0", "--count", "60", "--version", "1.2") // more than the default limit
	hybrid.Stop()
	old.Stop()
	gnutls := os.Getenv("GNUTLS_CACHE")
	library := harness.Start(t, harness.AgentConfig{
		Path: root + "/bin/crau-otel",
		Env:  []string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://" + otlp},
		Args: []string{"--library", filepath.Join(gnutls, "lib/libgnutls.so.30")},
	})
	traffic := exec.Command(root + "/examples/gnutls/traffic.sh")
	if out, err := traffic.CombinedOutput(); err != nil {
		t.Fatalf("traffic.sh (GNUTLS_CACHE=%s): %v\n%s", gnutls, err, out)
	}
	library.Stop()

	names := services(t, api)
	slices.Sort(names)
	if want := []string{"classical", "gnutls-cli", "gnutls-serv", "hybrid"}; !slices.Equal(names, want) {
		t.Errorf("services are %q, want %q", names, want)
	}
	harness.CheckPairs(t, "hybrid", search(t, api, "hybrid"), 2)
	const key = "crypto.pqc.key_exchange.status"
	counts := countBySearch(t, api)
	classical := map[string]int{}
	for _, name := range names {
		trees := harness.Trees(t, search(t, api, name))
		classical[name] = len(having(trees, key, "classical"))
	}
	if classical["classical"] != 120 || classical["hybrid"] != 0 || classical["gnutls-cli"] == 0 {
		t.Errorf("trees with classical key exchange: %v", classical)
	}
	for _, name := range names {
		if want := classical[name]; counts[name] != fmt.Sprint(want) && (want > 0 || counts[name] != "") {
			t.Errorf("the script of docs/queries.md finds %q of %s, want %d", counts[name], name, want)
		}
	}
}

// ask queries Jaeger's API and returns the elements of the answer as JSON. It returns none if the status is 404,
// Jaeger's answer if nothing is found.
func ask(t *testing.T, api, path string, query url.Values) []json.RawMessage {
	t.Helper()
	client := http.Client{Timeout: patience}
	resp, err := client.Get(api + path + "?" + query.Encode())
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNotFound {
		return nil
	}
	if resp.StatusCode != http.StatusOK {
		b, _ := io.ReadAll(resp.Body)
		t.Fatalf("%s: %s: %s", path, resp.Status, b)
	}
	var texts []json.RawMessage
	for d := json.NewDecoder(resp.Body); ; {
		var text json.RawMessage
		if err := d.Decode(&text); errors.Is(err, io.EOF) {
			return texts
		} else if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		texts = append(texts, text)
	}
}

// services returns the names of the services that Jaeger knows.
func services(t *testing.T, api string) []string {
	t.Helper()
	var names struct {
		Services []string `json:"services"`
	}
	for _, text := range ask(t, api, "/api/v3/services", nil) {
		if err := json.Unmarshal(text, &names); err != nil {
			t.Fatal(err)
		}
	}
	return names.Services
}

// search returns the spans of a service's traces in Jaeger, without duplicates of spans that were delivered twice.
func search(t *testing.T, api, service string) []*harness.Span {
	t.Helper()
	var spans []*harness.Span
	seen := map[string]bool{}
	for _, text := range ask(t, api, "/api/v3/traces", url.Values{
		"query.service_name":   {service},
		"query.start_time_min": {time.Now().Add(-time.Hour).UTC().Format(time.RFC3339Nano)},
		"query.start_time_max": {time.Now().Add(time.Minute).UTC().Format(time.RFC3339Nano)},
		"query.search_depth":   {"10000"},
		"query.num_traces":     {"10000"}, // the parameter's name in this version of Jaeger
	}) {
		var answer struct{ Result json.RawMessage }
		if err := json.Unmarshal(text, &answer); err != nil || answer.Result == nil {
			t.Fatalf("not a result (%v): %s", err, text)
		}
		found, err := harness.ParseOTLP(answer.Result)
		if err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		for _, s := range found {
			if id := fmt.Sprint(s.Trace, s.ID); !seen[id] {
				seen[id] = true
				spans = append(spans, asSent(s))
			}
		}
	}
	return spans
}

// asSent reverts what this version of Jaeger changes in a span: it replaces lists by their JSON text, and durations of
// 0 by 1 ns.
func asSent(s *harness.Span) *harness.Span {
	for key, value := range s.Attributes {
		var list []any
		if text, ok := value.(string); ok && json.Unmarshal([]byte(text), &list) == nil {
			s.Attributes[key] = list
		}
	}
	if s.End.Sub(s.Start) == 1 {
		s.End = s.Start
	}
	return s
}

// having returns the trees whose root has an attribute with that value. It filters the result of a search, because the
// API of this Jaeger version ignores query.attributes.
func having(roots []*harness.Span, key, value string) []*harness.Span {
	return slices.DeleteFunc(roots, func(s *harness.Span) bool { return s.Attributes[key] != value })
}

// countBySearch runs the script in docs/queries.md that counts, for each service in Jaeger, the spans with a value. It
// returns the counts by service.
func countBySearch(t *testing.T, api string) map[string]string {
	t.Helper()
	page, err := os.ReadFile(root + "/docs/queries.md")
	if err != nil {
		t.Fatal(err)
	}
	_, script, ok := strings.Cut(string(page), "```sh\njaeger=http://localhost:16686\n")
	if !ok {
		t.Fatal("docs/queries.md has no script for Jaeger")
	}
	script, _, _ = strings.Cut(script, "```")
	out, err := exec.Command("bash", "-euc", "jaeger="+api+"\n"+script).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	counts := map[string]string{}
	for line := range strings.Lines(string(out)) {
		if fields := strings.Fields(line); len(fields) == 2 {
			counts[fields[1]] = fields[0]
		}
	}
	return counts
}
