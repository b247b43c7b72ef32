// SPDX-License-Identifier: Apache-2.0

package export_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/export"
)

// specification returns the names in testdata/variables.txt, a list written by hand beside the tables of OpenTelemetry's
// "Environment Variable Specification" and "OpenTelemetry Protocol Exporter". It also has older names of variables.
func specification(t *testing.T) []string {
	t.Helper()
	b, err := os.ReadFile("testdata/variables.txt")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(b))
}

func TestEveryVariableOfTheSpecificationHasAnAnswer(t *testing.T) {
	var names []string
	for _, v := range export.Variables() {
		names = append(names, v.Name)
		if v.Refused != "" && v.Moot != "" {
			t.Errorf("%s is refused and moot", v.Name)
		}
	}
	want := specification(t)
	slices.Sort(names)
	slices.Sort(want)
	if !slices.Equal(names, want) {
		t.Errorf("got\n%s\nthe specification has\n%s", strings.Join(names, "\n"), strings.Join(want, "\n"))
	}
}

func TestVariablesThatAreRefused(t *testing.T) {
	for _, c := range []struct{ name, value, want string }{
		{"OTEL_SDK_DISABLED", "TRUE", ""},
		{"OTEL_SDK_DISABLED", "yes", `OTEL_SDK_DISABLED: must be one of true, false, got "yes"`},
		{"OTEL_LOG_LEVEL", "debug", "OTEL_LOG_LEVEL: is not supported; set CRAU_LOG_LEVEL"},
		{"OTEL_LOG_LEVEL", " ", ""},
		{"OTEL_EXPORTER_ZIPKIN_ENDPOINT", "http://x", "OTEL_EXPORTER_ZIPKIN_ENDPOINT: is not supported; export with OTLP"},
		{"OTEL_LOGS_EXPORTER", "otlp", ""},
		{"OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "Delta", ""},
		{
			"OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "banana",
			`OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE: must be one of cumulative, delta, lowmemory, got "banana"`,
		},
	} {
		err := export.CheckVariables(func(name string) string {
			if name == c.name {
				return c.value
			}
			return ""
		})
		if got := fmt.Sprint(err); got != c.want && (err != nil || c.want != "") {
			t.Errorf("%s=%s: %s, want %s", c.name, c.value, got, c.want)
		}
	}
}
