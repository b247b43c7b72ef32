// SPDX-License-Identifier: Apache-2.0

package main

import (
	"regexp"
	"strings"
	"testing"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/export"
)

var anyVariable = regexp.MustCompile(`OTEL_[A-Z_]*[A-Z]`)

// Every variable of the OpenTelemetry specification is in docs/configuration.md exactly once: with its meaning in
// crau-otel, why it is refused, or why it has no effect. The list of variables is the one of package export, whose
// tests compare it with the specification.
func TestEveryStandardVariableIsDocumented(t *testing.T) {
	t.Parallel()
	documented := make(map[string]int)
	page := read(t, "docs/configuration.md")
	for _, row := range append(rows(t, page, "## OpenTelemetry's variables"), rows(t, page, "### The specification's other variables")...) {
		general := ""
		for _, cell := range strings.Split(row[0], ", ") {
			name := cell
			if suffix, short := strings.CutPrefix(name, "_"); short {
				name = general[:strings.LastIndex(general, "_")+1] + suffix
			} else {
				general = name
			}
			documented[name]++
			prefix, rest, ok := strings.Cut(name, "OTEL_EXPORTER_OTLP_")
			if ok && prefix == "" && !regexp.MustCompile("^(TRACES|METRICS|LOGS|SPAN|METRIC)_").MatchString(rest) {
				documented["OTEL_EXPORTER_OTLP_TRACES_"+rest]++
				documented["OTEL_EXPORTER_OTLP_METRICS_"+rest]++
			}
		}
	}
	for _, v := range export.Variables() {
		if n := documented[v.Name]; n != 1 {
			t.Errorf("docs/configuration.md has %s %d times, want once", v.Name, n)
		}
		delete(documented, v.Name)
	}
	for name := range documented {
		t.Errorf("docs/configuration.md has %s, which the specification does not", name)
	}
	for _, name := range anyVariable.FindAllString(page, -1) {
		known := false
		for _, v := range export.Variables() {
			known = known || strings.HasPrefix(v.Name, name)
		}
		if !known {
			t.Errorf("docs/configuration.md mentions %s, which the specification does not have", name)
		}
	}
}
