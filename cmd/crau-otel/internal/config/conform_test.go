// SPDX-License-Identifier: Apache-2.0

package config

import (
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
)

// section has a field of each kind that a section may hold.
type section struct {
	Rules  []rule            `yaml:"rules"`
	Labels map[string]string `yaml:"labels"`
	Ratio  float64           `yaml:"ratio"`
	On     bool              `yaml:"on"`
	Small  uint8             `yaml:"small"`
	Any    any               `yaml:"any"`
}

type rule struct {
	Name string        `yaml:"name"`
	Max  ByteSize      `yaml:"max"`
	Wait time.Duration `yaml:"wait"`
}

func TestConform(t *testing.T) {
	t.Parallel()
	doc, err := parseDocument("x.yaml", []byte(`
rules:
  - name: a
    max: 1KiB
  - &b
    name: b
    wait: 1s
labels: {a.b: c}
ratio: 1
on: true
small: 255
`))
	if err != nil {
		t.Fatal(err)
	}
	var p problems
	got := p.conform(reflect.TypeFor[section](), "", doc.values)
	want := map[string]any{
		"rules": []any{
			map[string]any{"name": "a", "max": KiB},
			map[string]any{"name": "b", "wait": time.Second},
		},
		"labels": map[string]any{"a.b": "c"},
		"ratio":  1.0,
		"on":     true,
		"small":  uint8(255),
	}
	if len(p) != 0 || !reflect.DeepEqual(got, want) {
		t.Errorf("got %#v, problems %v", got, p)
	}
}

func TestConformAny(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		yaml string
		want any    // nil if the value is rejected
		err  string // error text, with FORM instead of plainForm
	}{
		{`tls`, "tls", ""},
		{`"1.3"`, "1.3", ""},
		{`""`, "", ""},
		{`-5`, -5, ""},
		{`0x0202`, 514, ""},
		{`9223372036854775807`, math.MaxInt, ""},
		{`yes`, "yes", ""},
		{`true`, true, ""},
		{`[a, 1, false]`, []any{"a", 1, false}, ""},
		{`[]`, []any{}, ""},
		{`1.3`, nil, `any: must be FORM, or a list of these, got 1.3`},
		{`9223372036854775808`, nil, `any: must be FORM, or a list of these, got 9223372036854775808`},
		{`{a: 1}`, nil, `any: must be FORM, or a list of these, got a section with keys`},
		{`2026-01-02`, nil, `any: must be FORM, or a list of these, got 2026-01-02 00:00:00 +0000 UTC`},
		{`null`, nil, `any: has no value: give it one or leave the key out`},
		{`[a, [b], 1.0, null]`, nil, "any[1]: must be FORM, got a list\nany[2]: must be FORM, got 1.0\nany[3]: must be FORM, got nothing"},
	} {
		doc, err := parseDocument("x.yaml", []byte("any: "+test.yaml))
		if err != nil {
			t.Fatal(err)
		}
		var p problems
		got := p.conform(reflect.TypeFor[section](), "", doc.values).(map[string]any)
		var texts []string
		for _, problem := range p {
			texts = append(texts, strings.ReplaceAll(problem.Error(), plainForm, "FORM"))
		}
		if joined := strings.Join(texts, "\n"); joined != test.err {
			t.Errorf("%s: %q, want %q", test.yaml, joined, test.err)
		}
		if test.err == "" && !reflect.DeepEqual(got["any"], test.want) {
			t.Errorf("%s: %#v", test.yaml, got["any"])
		}
	}
}

func TestConformNamesElementAndLine(t *testing.T) {
	t.Parallel()
	doc, err := parseDocument("x.yaml", []byte(`
rules:
  - name: a
    when: now
  - b
  - name: c
    wait: 1
labels:
  a.b: 1
ratio: x
on: yes
small: 256
`))
	if err != nil {
		t.Fatal(err)
	}
	var p problems
	p.conform(reflect.TypeFor[section](), "", doc.values)
	const want = `x.yaml:9: labels.a.b: must be text, got 1
x.yaml:11: on: must be true or false, got "yes"
x.yaml:10: ratio: must be a number, got "x"
x.yaml:4: rules[0].when: unknown key: the keys here are max, name, wait
x.yaml:5: rules[1]: must be a section with keys, got "b"
x.yaml:7: rules[2].wait: must be a duration such as 2s or 500ms, got 1
x.yaml:12: small: must be a whole number of at most 8 bits, not negative, got 256`
	if err := attribute(p, []layer{{place: doc.place}}); err == nil || err.Error() != want {
		t.Errorf("error\n%v\nwant\n%s", err, want)
	}
}

func TestDocumentLine(t *testing.T) {
	t.Parallel()
	doc, err := parseDocument("x.yaml", []byte(`policy:
  rules: &rules
    - name: a

    - name: b
      match: [x,
        y]
other: *rules
`))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		key   string
		line  int
		exact bool
	}{
		{"policy", 1, true},
		{"policy.rules", 2, true},
		{"policy.rules[0]", 3, true},
		{"policy.rules[1]", 5, true},
		{"policy.rules[1].match", 6, true},
		{"policy.rules[1].match[1]", 7, true},
		{"policy.rules[1].severity", 5, false},
		{"policy.rules[2]", 2, false},
		{"policy.rules[-1]", 2, false},
		{"policy.rules[x", 2, false},
		{"policy.rule", 1, false},
		{"other[0].name", 3, true},
		{"polic", 0, false},
		{"policy2", 0, false},
		{"", 0, false},
	} {
		if line, exact := doc.line(test.key); line != test.line || exact != test.exact {
			t.Errorf("%q: line %d, %v; want %d, %v", test.key, line, exact, test.line, test.exact)
		}
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		like any
		text string
		want any
	}{
		{"", "a b", "a b"},
		{false, "true", true},
		{false, "maybe", "maybe"},
		{0, "-5", int64(-5)},
		{0, "5x", "5x"},
		{uint8(0), "300", uint64(300)},
		{0.0, "0.5", 0.5},
		{time.Second, "2s", "2s"},
		{KiB, "1KiB", "1KiB"},
		{[]int{}, "1, 2,x", []any{int64(1), int64(2), "x"}},
	} {
		if got := parse(reflect.TypeOf(test.like), test.text); !reflect.DeepEqual(got, test.want) {
			t.Errorf("%T %q: %#v", test.like, test.text, got)
		}
	}
}
