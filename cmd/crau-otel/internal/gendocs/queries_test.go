// SPDX-License-Identifier: Apache-2.0

package main

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/metrics"
	"github.com/crau-otel/crau-otel/mapping/registry"
	"github.com/crau-otel/crau-otel/mapping/shape"
)

var (
	traceQLAttribute = regexp.MustCompile(`\b(span|resource)\.([a-z0-9_.]+)(?: *=~? *"([^"]*)")?`)
	jaegerTag        = regexp.MustCompile(`([a-z0-9_.]+)=("(?:[^"\\]|\\.)*"|\S+)`)
	jaegerParameter  = regexp.MustCompile(`key=([a-z0-9_.]+) value=(\S+)`)
	promQLName       = regexp.MustCompile(`[a-zA-Z_][a-zA-Z0-9_]*`)
	promQLLabel      = regexp.MustCompile(`([a-z_]+)[=!][=~]?"([^"]*)"`)
	quoted           = regexp.MustCompile(`"[^"]*"`)
)

// vocabulary returns the possible values of an attribute, or nil if it can have any value.
func vocabulary(key string) []string {
	switch {
	case key == "crypto.weak":
		var reasons []string
		for _, w := range registry.WeakReasons() {
			reasons = append(reasons, w.Word)
		}
		return reasons
	case key == "crypto.process.trust":
		return []string{
			string(shape.TrustRoot), string(shape.TrustSystem), string(shape.TrustContainer), string(shape.TrustUser),
			string(shape.TrustForeignCode), string(shape.TrustUnknown),
		}
	case strings.HasSuffix(key, ".status"):
		var statuses []string
		for s := registry.PostQuantum; s <= registry.Unknown; s++ {
			statuses = append(statuses, s.String())
		}
		return statuses
	}
	return nil
}

// checkValue fails the test if an attribute never has the value. value may be several alternatives, separated by |.
func checkValue(t *testing.T, query, key, value string) {
	t.Helper()
	words := vocabulary(key)
	for one := range strings.SplitSeq(value, "|") {
		if value != "" && words != nil && !slices.Contains(words, one) {
			t.Errorf("%s is never %q: %s", key, one, query)
		}
	}
}

func TestTraceQLNamesAttributes(t *testing.T) {
	t.Parallel()
	table := documented()
	queries := blocks(read(t, "docs/queries.md"), "traceql")
	if len(queries) < 15 {
		t.Errorf("only %d queries", len(queries))
	}
	for _, query := range queries {
		found := traceQLAttribute.FindAllStringSubmatch(query, -1)
		if found == nil && !strings.Contains(query, "span:") {
			t.Errorf("no attribute: %s", query)
		}
		for _, m := range found {
			a, ok := table[m[2]]
			if !ok || (a.On == onResource) != (m[1] == "resource") {
				t.Errorf("no attribute %s of a %s: %s", m[2], m[1], query)
			}
			checkValue(t, query, m[2], m[3])
		}
	}
}

func TestJaegerSearchesNameAttributes(t *testing.T) {
	t.Parallel()
	table := documented()
	text := read(t, "docs/queries.md")
	var found [][]string
	for _, query := range blocks(text, "logfmt") {
		found = append(found, jaegerTag.FindAllStringSubmatch(query, -1)...)
	}
	for _, script := range blocks(text, "sh") {
		found = append(found, jaegerParameter.FindAllStringSubmatch(script, -1)...)
	}
	if len(found) < 9 {
		t.Errorf("only %d searches: %q", len(found), found)
	}
	for _, m := range found {
		if m[1] == "error" { // Jaeger's tag for spans with an error status
			continue
		}
		a, ok := table[m[1]]
		if !ok || a.On == onResource {
			t.Errorf("no attribute %s of a span: %s", m[1], m[0])
		}
		value := strings.ReplaceAll(strings.Trim(m[2], `"`), `\"`, `"`)
		if a.Type == "string[]" {
			if !strings.HasPrefix(value, `["`) || !strings.HasSuffix(value, `"]`) {
				t.Errorf("%s is a list: %s", m[1], m[0])
			}
			value = strings.Trim(value, `["]`)
		}
		checkValue(t, m[0], m[1], value)
	}
}

func TestPromQLNamesMetrics(t *testing.T) {
	t.Parallel()
	labels, names := []string{"le", "host_name"}, map[string]metrics.Instrument{}
	for _, i := range metrics.Instruments() {
		name := prometheusName(i)
		if i.Type == "histogram" {
			names[name+"_bucket"], names[name+"_count"], names[name+"_sum"] = i, i, i
		} else {
			names[name] = i
		}
		for _, key := range attributesOf(i) {
			labels = append(labels, strings.ReplaceAll(key, ".", "_"))
		}
	}
	language := []string{"sum", "by", "rate", "increase", "histogram_quantile", "d", "h", "m"}
	queries := blocks(read(t, "docs/queries.md"), "promql")
	if len(queries) < 8 {
		t.Errorf("only %d queries", len(queries))
	}
	for _, query := range queries {
		var of []string
		for _, word := range promQLName.FindAllString(quoted.ReplaceAllString(query, ""), -1) {
			if i, ok := names[word]; ok {
				for _, key := range attributesOf(i) {
					of = append(of, strings.ReplaceAll(key, ".", "_"))
				}
			} else if !slices.Contains(labels, word) && !slices.Contains(language, word) {
				t.Errorf("%s is no metric, label or function: %s", word, query)
			}
		}
		for _, m := range promQLLabel.FindAllStringSubmatch(query, -1) {
			if !slices.Contains(of, m[1]) {
				t.Errorf("the metric has no label %s: %s", m[1], query)
			}
			checkValue(t, query, map[string]string{
				"crypto_pqc_status": "crypto.pqc.status", "crypto_process_trust": "crypto.process.trust",
			}[m[1]], m[2])
		}
	}
}
