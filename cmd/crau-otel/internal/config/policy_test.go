// SPDX-License-Identifier: Apache-2.0

package config

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/crau-otel/crau-otel/mapping/policy"
)

func TestLoadPolicy(t *testing.T) {
	t.Parallel()
	const file = `
policy:
  name: hybrid-ok
  rules:
    - name: old-tls
      attribute: tls.protocol.version
      operator: in
      value: ["1.0", "1.1", "1.2"]
      executable: nginx*
      span: tls::handshake
    - {name: small, attribute: pk.bits, operator: less_than, value: 2048}
    - {name: static, attribute: pk.static, operator: equals, value: true}
    - {name: no-ems, attribute: tls.extended_master_secret, operator: absent, span: "tls::handshake"}
privacy: {process: full, keys: {allow: ["tls::*"], deny: ["*::ident_string"]}}
scopes: [tls, pk]
metrics: {max_series: 100}
`
	want := Default()
	want.Policy = policy.Config{Name: "hybrid-ok", Rules: []policy.Rule{
		{
			Name: "old-tls", Attribute: "tls.protocol.version", Operator: "in", Value: []any{"1.0", "1.1", "1.2"},
			Executable: "nginx*", Span: "tls::handshake",
		},
		{Name: "small", Attribute: "pk.bits", Operator: "less_than", Value: 2048},
		{Name: "static", Attribute: "pk.static", Operator: "equals", Value: true},
		{Name: "no-ems", Attribute: "tls.extended_master_secret", Operator: "absent", Span: "tls::handshake"},
	}}
	want.Privacy = Privacy{Process: ProcessFull, Keys: Keys{Allow: []string{"tls::*"}, Deny: []string{"*::ident_string"}}}
	want.Scopes = []string{"tls", "pk"}
	want.Metrics.MaxSeries = 100
	got, err := load(t, file, nil)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("error %v\n got %+v\nwant %+v", err, got, want)
	}

	want.Policy.Name = "pq-only"
	want.Privacy.Process = ProcessNone
	want.Privacy.Keys.Deny = []string{"a", "b"}
	want.Scopes = []string{"ssh"}
	got, err = load(t, file, []string{
		"CRAU_POLICY_NAME=cnsa-2.0", "CRAU_PRIVACY_PROCESS=none", "CRAU_PRIVACY_KEYS_DENY=a,b", "CRAU_SCOPES=ssh",
	}, "--policy=pq-only")
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("error %v\n got %+v\nwant %+v", err, got, want)
	}
}

// The example of a rule in crau-otel.yaml, which is commented out there, is valid.
func TestExampleRuleOfTheSampleConfigurationIsValid(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(sampleFile)
	if err != nil {
		t.Fatal(err)
	}
	file := strings.Replace(string(text), "  rules: []\n", "", 1)
	file = strings.Replace(file, "  #   - name:", "  rules:\n    - name:", 1)
	file = strings.ReplaceAll(file, "  #     ", "      ")
	c, err := load(t, file, nil)
	if err != nil || len(c.Policy.Rules) != 1 || c.Policy.Rules[0].Span != "tls::handshake" {
		t.Errorf("rules %+v, error %v", c.Policy.Rules, err)
	}
}

func TestLoadRefusesPolicy(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		file    string
		environ []string
		args    []string
		want    string
	}{
		{
			name: "bad rules with their lines",
			file: `policy:
  name: pq
  rules:
    - name: a
      attribute: tls.cipher
      operator: is
      value: x
    - attribute: tls.cipher
      operator: matches
      value: (
    - name: a
      attribute: tls.cipher
      operator: absent
    - {name: c, attribute: pk.bits, operator: less_than, executable: /usr/bin/x}
`,
			want: `crau.yaml:2: policy.name: must be none, hybrid-ok, pq-only or cnsa-2.0, got "pq"
crau.yaml:6: policy.rules[0].operator: must be equals, not_equals, in, not_in, matches, not_matches, less_than, greater_than, contains, exists or absent, got "is"
crau.yaml:8: policy.rules[1].name: must be given
crau.yaml:10: policy.rules[1].value: error parsing regexp: missing closing ): ` + "`(`" + `
crau.yaml:11: policy.rules[2].name: must be unique, got "a" again
crau.yaml:11: policy.rules[2].span: must be given: all spans of other names lack the attribute too
crau.yaml:14: policy.rules[3].value: must be a whole number, got nothing
crau.yaml:14: policy.rules[3].executable: must be a pattern of a program's name, without its path, got "/usr/bin/x"`,
		},
		{
			name: "values and keys of another type",
			file: `policy:
  rules:
    - name: a
      attribute: tls.protocol.version
      operator: equals
      value: 1.3
    - name: b
      severity: high
      value:
        - x
        - [y]
    - c
privacy:
  process: true
  keys: [a]
`,
			want: `crau.yaml:6: policy.rules[0].value: must be FORM, or a list of these, got 1.3
crau.yaml:8: policy.rules[1].severity: unknown key: the keys here are attribute, executable, name, operator, span, value
crau.yaml:11: policy.rules[1].value[1]: must be FORM, got a list
crau.yaml:12: policy.rules[2]: must be a section with keys, got "c"
crau.yaml:15: privacy.keys: must be a section with keys, got a list
crau.yaml:14: privacy.process: must be text, got true`,
		},
		{
			name:    "variables and flags",
			environ: []string{"CRAU_SCOPES=tls,TLS", "CRAU_PRIVACY_KEYS_ALLOW=tls::*,[", "CRAU_METRICS_MAX_SERIES=0"},
			args:    []string{"--policy=strict"},
			want: `CRAU_SCOPES: scopes[1]: must be a word of a-z, 0-9 and _ such as tls, got "TLS"
--policy: policy.name: must be none, hybrid-ok, pq-only or cnsa-2.0, got "strict"
CRAU_PRIVACY_KEYS_ALLOW: privacy.keys.allow[1]: must be a pattern such as tls::*, got "["
CRAU_METRICS_MAX_SERIES: metrics.max_series: must be at least 16, got 0`,
		},
		{
			name:    "rules in a variable",
			environ: []string{"CRAU_POLICY_RULES=a"},
			want:    `CRAU_POLICY_RULES: policy.rules[0]: must be a section with keys, got "a"`,
		},
		{
			name: "element in a file",
			file: "scopes:\n  - tls\n  - SSH\nprivacy:\n  keys:\n    deny:\n      - 'x['\n",
			want: `crau.yaml:3: scopes[1]: must be a word of a-z, 0-9 and _ such as tls, got "SSH"
crau.yaml:7: privacy.keys.deny[0]: must be a pattern such as tls::*, got "x["`,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := load(t, test.file, test.environ, test.args...)
			if err == nil {
				t.Fatal("accepted")
			}
			if got := strings.ReplaceAll(err.Error(), plainForm, "FORM"); got != test.want {
				t.Errorf("error\n%v\nwant\n%s", got, test.want)
			}
		})
	}
}

func TestLoadTracesExporter(t *testing.T) {
	t.Parallel()
	const file, variable, flag = "exporter: otlp", "CRAU_EXPORTER=otlp", "--exporter=otlp"
	for _, test := range []struct {
		file    string
		environ []string
		args    []string
		want    string // value of the key exporter, or the error
	}{
		{environ: []string{"OTEL_TRACES_EXPORTER=none"}, want: "none"},
		{environ: []string{"OTEL_TRACES_EXPORTER= Console "}, want: "console"},
		{environ: []string{"OTEL_TRACES_EXPORTER=otlp"}, want: "otlp"},
		{environ: []string{"OTEL_TRACES_EXPORTER="}, want: "otlp"},
		{environ: []string{"OTEL_METRICS_EXPORTER=none"}, want: "otlp"},
		{environ: []string{"OTEL_TRACES_EXPORTER=none"}, file: file, want: "otlp"},
		{environ: []string{"OTEL_TRACES_EXPORTER=none", variable}, want: "otlp"},
		{environ: []string{"OTEL_TRACES_EXPORTER=jaeger"}, args: []string{flag}, want: "otlp"},
		{
			environ: []string{"OTEL_TRACES_EXPORTER=console,otlp"},
			want:    `OTEL_TRACES_EXPORTER: exporter: must be otlp, console or none, got "console,otlp"`,
		},
		{
			environ: []string{"OTEL_TRACES_EXPORTER=none"},
			file:    "exporter: jaeger",
			want:    `crau.yaml:1: exporter: must be otlp, console or none, got "jaeger"`,
		},
	} {
		c, err := load(t, test.file, test.environ, test.args...)
		got := c.Exporter
		if err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("%+v: %s", test, got)
		}
	}
}
