// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/crau-otel/crau-otel/test/needs"
)

// fakeJaeger returns a server that answers like the HTTP gateway of Jaeger's API v3 and fails the test on a request or
// parameter that is not part of this API. The service nginx has two spans whose attribute key has the value, and one
// span with another value of the attribute; the service quiet has no traces.
func fakeJaeger(t *testing.T, key, value string) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v3/services", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"services":["nginx","quiet"]}`)
	})
	mux.HandleFunc("GET /api/v3/traces", func(w http.ResponseWriter, r *http.Request) {
		query := r.URL.Query()
		for _, name := range []string{"query.start_time_min", "query.start_time_max"} {
			if _, err := time.Parse(time.RFC3339Nano, query.Get(name)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		var attributes map[string]string
		if err := json.Unmarshal([]byte(query.Get("query.attributes")), &attributes); err != nil || attributes[key] != value {
			t.Errorf("query.attributes: %v: %v", attributes, err)
		}
		for name := range query {
			switch name {
			case "query.service_name", "query.start_time_min", "query.start_time_max", "query.attributes", "query.search_depth",
				"query.num_traces": // name of search_depth in Jaeger 1.76
			default:
				t.Errorf("unknown parameter %s", name)
			}
		}
		if query.Get("query.service_name") != "nginx" {
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"error":{"httpCode":404,"message":"No traces found"}}`)
			return
		}
		span := func(value string) string {
			return fmt.Sprintf(`{"name":"tls::handshake","attributes":[{"key":%q,"value":{"stringValue":%q}}]}`, key, value)
		}
		// Newer versions of Jaeger answer with several JSON documents, one for each chunk of the result.
		for _, spans := range []string{span(value) + "," + span("hybrid"), span(value)} {
			fmt.Fprintf(w, `{"result":{"resourceSpans":[{"scopeSpans":[{"spans":[%s,{"name":"pk::sign"}]}]}]}}`+"\n", spans)
		}
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		t.Errorf("%s is not part of the API", r.URL.Path)
		w.WriteHeader(http.StatusNotFound)
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

func TestJaegerScriptCountsMatchingSpans(t *testing.T) {
	t.Parallel()
	for _, tool := range []string{"bash", "curl", "jq"} {
		needs.Program(t, tool)
	}
	scripts := blocks(read(t, "docs/queries.md"), "sh")
	if len(scripts) != 1 {
		t.Fatalf("%d scripts", len(scripts))
	}
	s := fakeJaeger(t, "crypto.pqc.key_exchange.status", "classical")
	script := strings.Replace(scripts[0], "jaeger=http://localhost:16686\n", "jaeger="+s.URL+"\n", 1)
	if script == scripts[0] {
		t.Fatal("the script does not start with Jaeger's address")
	}
	out, err := exec.Command("bash", "-euo", "pipefail", "-c", script).CombinedOutput()
	if err != nil || string(out) != "    2  nginx\n" {
		t.Errorf("got %q, %v", out, err)
	}
}
