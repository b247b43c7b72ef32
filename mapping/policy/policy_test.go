// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"errors"
	"math"
	"slices"
	"testing"

	"go.opentelemetry.io/otel/attribute"
)

func newPolicy(t testing.TB, cfg Config) *Policy {
	t.Helper()
	p, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestOperators(t *testing.T) {
	t.Parallel()
	const key = attribute.Key("a")
	present := map[string]attribute.Value{
		"text":     attribute.StringValue("b"),
		"empty":    attribute.StringValue(""),
		"digits":   attribute.StringValue("5"),
		"four":     attribute.IntValue(4),
		"five":     attribute.IntValue(5),
		"six":      attribute.IntValue(6),
		"lowest":   attribute.Int64Value(math.MinInt64),
		"highest":  attribute.Int64Value(math.MaxInt64),
		"true":     attribute.BoolValue(true),
		"false":    attribute.BoolValue(false),
		"fraction": attribute.Float64Value(5),
		"texts":    attribute.StringSliceValue([]string{"a", "b", "c", "d"}),
		"no texts": attribute.StringSliceValue(nil),
		"numbers":  attribute.IntSliceValue([]int{4, 5}),
		"bools":    attribute.BoolSliceValue([]bool{false}),
		"nothing":  {},
	}
	all := func(but ...string) []string {
		var names []string
		for name := range present {
			if !slices.Contains(but, name) {
				names = append(names, name)
			}
		}
		return names
	}
	ints := []string{"four", "five", "six", "lowest", "highest"}
	for _, test := range []struct {
		operator string
		value    any
		want     []string // names in present whose values violate; "-" means that a span without the attribute violates
	}{
		{"equals", "b", []string{"text"}},
		{"equals", "", []string{"empty"}},
		{"equals", 5, []string{"five"}},
		{"equals", math.MinInt64, []string{"lowest"}},
		{"equals", true, []string{"true"}},
		{"equals", false, []string{"false"}},
		{"not_equals", "b", []string{"empty", "digits"}},
		{"not_equals", 5, []string{"four", "six", "lowest", "highest"}},
		{"not_equals", true, []string{"false"}},
		{"in", []any{"b", "5"}, []string{"text", "digits"}},
		{"in", []any{4, 5}, []string{"four", "five"}},
		{"in", []any{true}, []string{"true"}},
		{"not_in", []any{"b", "5"}, []string{"empty"}},
		{"not_in", []any{4, 5}, []string{"six", "lowest", "highest"}},
		{"not_in", []any{false, true}, nil},
		{"matches", "", []string{"text", "empty", "digits"}},
		{"matches", "^[a-z]$", []string{"text"}},
		{"not_matches", "^[a-z]$", []string{"empty", "digits"}},
		{"less_than", 5, []string{"four", "lowest"}},
		{"less_than", math.MinInt64, nil},
		{"less_than", math.MaxInt64, []string{"four", "five", "six", "lowest"}},
		{"greater_than", 5, []string{"six", "highest"}},
		{"greater_than", math.MaxInt64, nil},
		{"greater_than", math.MinInt64, []string{"four", "five", "six", "highest"}},
		{"contains", "d", []string{"texts"}},
		{"contains", "e", nil},
		{"contains", "b", []string{"texts"}},
		{"contains", 5, []string{"numbers"}},
		{"contains", false, []string{"bools"}},
		{"contains", true, nil},
		{"exists", nil, all()},
		{"absent", nil, []string{"-"}},
		{"not_in", []any{math.MaxInt}, slices.DeleteFunc(slices.Clone(ints), func(s string) bool { return s == "highest" })},
	} {
		p := newPolicy(t, Config{Rules: []Rule{{Name: "r", Attribute: string(key), Operator: test.operator, Value: test.value, Span: "s"}}})
		if p.Empty() {
			t.Error("empty")
		}
		var got []string
		if p.Check("", "s", []attribute.KeyValue{attribute.Int("b", 5)}) != nil {
			got = append(got, "-")
		}
		for name, value := range present {
			if p.Check("", "s", []attribute.KeyValue{attribute.Int("b", 5), {Key: key, Value: value}}) != nil {
				got = append(got, name)
			}
		}
		slices.Sort(got)
		slices.Sort(test.want)
		if !slices.Equal(got, test.want) {
			t.Errorf("%s %v: %q, want %q", test.operator, test.value, got, test.want)
		}
	}
}

func TestCheckScope(t *testing.T) {
	t.Parallel()
	p := newPolicy(t, Config{Rules: []Rule{
		{Name: "all", Attribute: "a", Operator: "exists"},
		{Name: "program", Attribute: "a", Operator: "exists", Executable: "python3*"},
		{Name: "span", Attribute: "a", Operator: "exists", Span: "tls::handshake"},
		{Name: "both", Attribute: "a", Operator: "exists", Executable: "nginx", Span: "tls::handshake"},
		{Name: "without", Attribute: "b", Operator: "absent", Executable: "nginx", Span: "tls::handshake"},
		{Name: "derive", Attribute: "span.name", Operator: "matches", Value: "^pk::"},
	}})
	a, b := attribute.Bool("a", true), attribute.Bool("b", true)
	for _, test := range []struct {
		executable, span string
		attrs            []attribute.KeyValue
		want             []string
	}{
		{"curl", "tls::sign", []attribute.KeyValue{a}, []string{"all"}},
		{"python3.14", "tls::sign", []attribute.KeyValue{b, a}, []string{"all", "program"}},
		{"python2", "tls::handshake", []attribute.KeyValue{a, b}, []string{"all", "span"}},
		{"nginx", "tls::handshake", []attribute.KeyValue{a, a}, []string{"all", "span", "both", "without"}},
		{"nginx", "tls::handshake", []attribute.KeyValue{b}, nil},
		{"nginx", "tls::handshakes", nil, nil},
		{"", "pk::derive", nil, []string{"derive"}},
		{"", "tls::sign", []attribute.KeyValue{attribute.String("span.name", "pk::derive")}, nil},
		{"", "", nil, nil},
	} {
		if got := p.Check(test.executable, test.span, test.attrs); !slices.Equal(got, test.want) || (got == nil) != (test.want == nil) {
			t.Errorf("%s %s %v: %q, want %q", test.executable, test.span, test.attrs, got, test.want)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	good := Rule{Name: "good", Attribute: "a", Operator: "exists"}
	with := func(change func(*Rule)) Rule {
		r := good
		r.Name = "bad"
		change(&r)
		return r
	}
	value := func(operator string, v any) Rule {
		return with(func(r *Rule) { r.Operator, r.Value = operator, v })
	}
	for _, test := range []struct {
		rule Rule
		want string
	}{
		{with(func(r *Rule) { r.Name = "" }), `rules[1].name: must be given`},
		{good, `rules[1].name: must be unique, got "good" again`},
		{with(func(r *Rule) { r.Attribute = "" }), `rules[1].attribute: must be given`},
		{
			with(func(r *Rule) { r.Operator = "==" }),
			`rules[1].operator: must be equals, not_equals, in, not_in, matches, not_matches, less_than, greater_than, ` +
				`contains, exists or absent, got "=="`,
		},
		{value("exists", "x"), `rules[1].value: must be omitted with this operator`},
		{value("equals", nil), `rules[1].value: must be text, a whole number, true or false, got nothing`},
		{value("not_equals", 1.5), `rules[1].value: must be text, a whole number, true or false, got 1.5`},
		{value("contains", []any{"a"}), `rules[1].value: must be text, a whole number, true or false, got a list`},
		{value("in", "a"), `rules[1].value: must be a list that is not empty, got "a"`},
		{value("not_in", []any{}), `rules[1].value: must be a list that is not empty, got an empty list`},
		{value("in", []any{"a", nil}), `rules[1].value: element 1: must be text, a whole number, true or false, got nothing`},
		{value("in", []any{"a", 1}), `rules[1].value: must be a list of one type, got "a" and 1`},
		{value("matches", 5), `rules[1].value: must be a regular expression, got 5`},
		{value("not_matches", "("), "rules[1].value: error parsing regexp: missing closing ): `(`"},
		{value("less_than", "5"), `rules[1].value: must be a whole number, got "5"`},
		{value("greater_than", true), `rules[1].value: must be a whole number, got true`},
		{
			with(func(r *Rule) { r.Executable = "[" }),
			`rules[1].executable: must be a pattern such as nginx or python*, got "["`,
		},
		{
			with(func(r *Rule) { r.Executable = "/usr/bin/*" }),
			`rules[1].executable: must be a pattern of a program's name, without its path, got "/usr/bin/*"`,
		},
		{
			value("absent", nil),
			`rules[1].span: must be given: all spans of other names lack the attribute too`,
		},
		{
			with(func(r *Rule) { r.Attribute, r.Operator, r.Span = "span.name", "absent", "s" }),
			`rules[1].operator: must not be absent: every span has a name`,
		},
	} {
		p, err := New(Config{Name: "cnsa-2.0", Rules: []Rule{good, test.rule}})
		var bad *RuleError
		if p != nil || !errors.As(err, &bad) || bad.Index != 1 || err.Error() != test.want {
			t.Errorf("%+v: error %v, want %s", test.rule, err, test.want)
		}
	}
}

func TestNewJoinsErrors(t *testing.T) {
	t.Parallel()
	_, err := New(Config{Name: "cnsa", Rules: []Rule{
		{Operator: "equals", Executable: "[]", Value: []any{}},
		{Name: "x", Attribute: "a", Operator: "exists"},
		{Name: "x", Attribute: "a", Operator: "is"},
	}})
	const want = `must be none, hybrid-ok, pq-only or cnsa-2.0, got "cnsa"
rules[0].name: must be given
rules[0].attribute: must be given
rules[0].value: must be text, a whole number, true or false, got an empty list
rules[0].executable: must be a pattern such as nginx or python*, got "[]"
rules[2].name: must be unique, got "x" again
rules[2].operator: must be equals, not_equals, in, not_in, matches, not_matches, less_than, greater_than, contains, exists or absent, got "is"`
	if err == nil || err.Error() != want {
		t.Errorf("error\n%v\nwant\n%s", err, want)
	}
	if _, err := New(Config{Name: "pq-only", Rules: []Rule{{Name: "pq-only/key-exchange", Attribute: "a", Operator: "exists"}}}); err == nil {
		t.Error("name of a built-in rule accepted")
	}
}

func TestEmptyPolicyFindsNothing(t *testing.T) {
	t.Parallel()
	for _, p := range []*Policy{nil, {}, newPolicy(t, Config{}), newPolicy(t, Config{Name: "none"})} {
		if !p.Empty() || p.Check("nginx", "tls::handshake", []attribute.KeyValue{attribute.Int("a", 1)}) != nil {
			t.Error("not empty")
		}
	}
}

// goodHandshake contains the attributes of a span that violates no built-in rule and no rule of ownRules.
var goodHandshake = []attribute.KeyValue{
	attribute.String("tls.role", "client"),
	attribute.String("tls.protocol.name", "tls"),
	attribute.String("tls.protocol.version", "1.3"),
	attribute.String("tls.cipher", "TLS_AES_256_GCM_SHA384"),
	attribute.Int("tls.group.id", 0x0202),
	attribute.String("tls.group.name", "MLKEM1024"),
	attribute.String("tls.signature_scheme.name", "mldsa87"),
	attribute.String("crypto.pqc.key_exchange.status", "post_quantum"),
	attribute.String("crypto.pqc.authentication.status", "post_quantum"),
	attribute.StringSlice("tls.groups.offered", []string{"MLKEM1024"}),
	attribute.String("crypto.context.id", "00112233445566778899aabbccddeeff"),
	attribute.String("crypto.context.end", "idle"),
}

var ownRules = []Rule{
	{Name: "r0", Attribute: "tls.role", Operator: "in", Value: []any{"server", "peer"}},
	{Name: "r1", Attribute: "tls.cipher", Operator: "matches", Value: "RC4|3DES"},
	{Name: "r2", Attribute: "tls.group.id", Operator: "less_than", Value: 0x100, Executable: "ng*"},
	{Name: "r3", Attribute: "tls.group.id", Operator: "absent", Span: "tls::handshake"},
	{Name: "r4", Attribute: "span.name", Operator: "equals", Value: "pk::sign"},
	{Name: "r5", Attribute: "tls.groups.offered", Operator: "exists", Executable: "curl"},
}

func TestCheckWithoutViolationDoesNotAllocate(t *testing.T) {
	p := newPolicy(t, Config{Name: "cnsa-2.0", Rules: ownRules})
	if n := testing.AllocsPerRun(100, func() {
		if p.Check("nginx", "tls::handshake", goodHandshake) != nil {
			t.Fatal("violates")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkCheck(b *testing.B) {
	for _, name := range []string{"none", "hybrid-ok", "cnsa-2.0"} {
		p := newPolicy(b, Config{Name: name})
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				p.Check("nginx", "tls::handshake", goodHandshake)
			}
		})
	}
}

func FuzzPolicy(f *testing.F) {
	for i, o := range operators {
		f.Add("r", "a", o.name, i, "b", "*", "s", "nginx", "s")
	}
	f.Add("", "span.name", "matches", 0, "(", "[", "", "", "")
	f.Fuzz(func(t *testing.T, name, key, operator string, kind int, text, glob, span, executable, spanOf string) {
		values := []any{nil, text, len(text), text == "", []any{text}, []any{text, kind}, []any{}, 1.5, []any{[]any{text}}}
		rules := []Rule{
			{Name: name, Attribute: key, Operator: operator, Value: values[uint(kind)%uint(len(values))], Executable: glob, Span: span},
			{Name: name + "2", Attribute: key, Operator: operator, Value: text, Span: span},
		}
		p, err := New(Config{Rules: rules})
		if err != nil {
			for _, err := range err.(interface{ Unwrap() []error }).Unwrap() {
				var bad *RuleError
				if !errors.As(err, &bad) || bad.Index < 0 || bad.Index > 1 || bad.Field == "" {
					t.Fatalf("error %#v", err)
				}
			}
			return
		}
		attrs := []attribute.KeyValue{
			attribute.String(key, text),
			attribute.Int(key, len(text)),
			attribute.Bool(key, true),
			{Key: attribute.Key(key)},
			attribute.StringSlice(key, []string{text, name, span, glob}),
			attribute.IntSlice(key, []int{kind}),
			attribute.Float64(key, 1),
		}
		for n := range len(attrs) + 1 {
			for _, violated := range p.Check(executable, spanOf, attrs[:n]) {
				if violated != name && violated != name+"2" {
					t.Fatalf("%q violated", violated)
				}
			}
		}
	})
}
