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

// specification returns the names in testdata/variables.txt, a list that was copied by hand from the tables of
// OpenTelemetry's "Environment Variable Specification" and "OpenTelemetry Protocol Exporter". The list also has older
// names of variables.
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
		{"OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "0", ""},
		{"OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "-1", ""},
		{
			"OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "1e3",
			`OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT: must be a whole number, got "1e3"`,
		},
		{
			"OTEL_ATTRIBUTE_COUNT_LIMIT", " 5 ", // the SDK would ignore a value with blanks around it
			`OTEL_ATTRIBUTE_COUNT_LIMIT: must be a whole number, got " 5 "`,
		},
		{"OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "", ""},
		{ // the SDK would not fall back on OTEL_ATTRIBUTE_COUNT_LIMIT
			"OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", " ",
			`OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT: must be a whole number, got " "`,
		},
		{"OTEL_RESOURCE_ATTRIBUTES", " ", ""},
		{"OTEL_SERVICE_NAME", " ", ""},
		{"OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "many", `OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT: must be a whole number, got "many"`},
		{
			"OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "99999999999999999999",
			`OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT: must be a whole number, got "99999999999999999999"`,
		},
		{"OTEL_METRIC_EXPORT_INTERVAL", "9223372036854", ""},
		{
			"OTEL_METRIC_EXPORT_INTERVAL", "9223372036855",
			`OTEL_METRIC_EXPORT_INTERVAL: must be a number of milliseconds from 1 to 9223372036854, got "9223372036855"`,
		},
		{
			"OTEL_METRIC_EXPORT_INTERVAL", "60s",
			`OTEL_METRIC_EXPORT_INTERVAL: must be a number of milliseconds from 1 to 9223372036854, got "60s"`,
		},
		{
			"OTEL_METRIC_EXPORT_TIMEOUT", "0",
			`OTEL_METRIC_EXPORT_TIMEOUT: must be a number of milliseconds from 1 to 9223372036854, got "0"`,
		},
		{"OTEL_RESOURCE_ATTRIBUTES", "a=b, deployment.environment.name = caf%C3%A9 ,,host.id=,", ""},
		{"OTEL_RESOURCE_ATTRIBUTES", "a=b,env=caf%E9", `OTEL_RESOURCE_ATTRIBUTES: the value of "env" must be percent-encoded UTF-8`},
		{"OTEL_RESOURCE_ATTRIBUTES", "a=b,env=caf\xe9", `OTEL_RESOURCE_ATTRIBUTES: the value of "env" must be percent-encoded UTF-8`},
		{"OTEL_RESOURCE_ATTRIBUTES", "env=50%", `OTEL_RESOURCE_ATTRIBUTES: the value of "env" must be percent-encoded UTF-8`},
		{
			"OTEL_RESOURCE_ATTRIBUTES", "a=b,secret",
			"OTEL_RESOURCE_ATTRIBUTES: must be name=value pairs, separated by commas; number 2 is not",
		},
		{
			"OTEL_RESOURCE_ATTRIBUTES", "caf\xe9=b",
			"OTEL_RESOURCE_ATTRIBUTES: must be name=value pairs, separated by commas; number 1 is not",
		},
		{"OTEL_SERVICE_NAME", "caf\xe9", "OTEL_SERVICE_NAME: must be UTF-8"},
		{"OTEL_SERVICE_NAME", "café", ""},
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
