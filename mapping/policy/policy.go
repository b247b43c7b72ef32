// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"go.opentelemetry.io/otel/attribute"
)

// Config configures a [Policy]. The zero value has no rules.
type Config struct {
	// Name selects a built-in set: none (no rules; the default), hybrid-ok, pq-only or cnsa-2.0.
	Name string `yaml:"name"`
	// Rules are added to those of the built-in set.
	Rules []Rule `yaml:"rules"`
}

// Rule describes a violation: a span violates the rule if "Attribute Operator Value" is true for the span.
type Rule struct {
	// Name identifies the rule. It must differ from the names of all other rules, including those of the built-in set.
	Name string `yaml:"name"`
	// Attribute is an attribute's key, such as tls.cipher, or span.name for the name of the span.
	Attribute string `yaml:"attribute"`
	// Operator compares the attribute with the value:
	//
	//	equals, not_equals          Value is a string, int or bool
	//	in, not_in                  Value is a list of strings, ints or bools, all of one type
	//	matches, not_matches        Value is an RE2 expression, which may match anywhere in a string
	//	less_than, greater_than     Value is an int
	//	contains                    Value is a string, int or bool: one element of a list attribute
	//	exists, absent              Value is nil
	Operator string `yaml:"operator"`
	// Value is a string, int, bool, non-empty []any, or nil, as the operator requires.
	Value any `yaml:"value"`
	// Executable is a [path.Match] pattern for the names of the programs that the rule applies to; "" means all programs.
	Executable string `yaml:"executable"`
	// Span is the name of the spans that the rule applies to, such as tls::handshake; "" means all spans. It is
	// required if Operator is "absent", because most attributes are absent from spans of other names.
	Span string `yaml:"span"`
}

// spanName is the value of Rule.Attribute that stands for the name of the span.
const spanName = "span.name"

// A RuleError reports an invalid field of a rule.
type RuleError struct {
	Index int    // index of the rule in Config.Rules
	Field string // name of the field in YAML: name, attribute, operator, value, executable or span
	Err   error
}

func (e *RuleError) Error() string { return fmt.Sprintf("rules[%d].%s: %v", e.Index, e.Field, e.Err) }

// Unwrap returns the error without the index and the field.
func (e *RuleError) Unwrap() error { return e.Err }

// Policy is a set of rules. It is immutable and safe for concurrent use.
type Policy struct {
	rules []rule
	// The following fields contain indexes in rules, in ascending order, by what the rules test.
	byKey   map[attribute.Key][]int
	lengths uint64           // lengths of the keys in byKey, one bit each, to skip most other keys without a lookup
	byName  []int            // rules about span.name
	absent  map[string][]int // rules with the operator absent, by span name
}

// rule is a rule whose fields were checked.
type rule struct {
	Rule
	holds test // tests an attribute's value; nil for the operator absent
}

// New returns a policy. The error joins all problems of cfg: a [*RuleError] for each invalid field of a rule, and
// another error if no built-in set is called cfg.Name.
func New(cfg Config) (*Policy, error) {
	var errs []error
	own, known := rulesOf(cfg.Name)
	if !known {
		errs = append(errs, fmt.Errorf("must be %s, got %q", choice(setNames()), cfg.Name))
	}
	builtin := len(own)
	p := &Policy{byKey: make(map[attribute.Key][]int), absent: make(map[string][]int)}
	names := make(map[string]bool)
	for i, r := range slices.Concat(own, cfg.Rules) {
		refuse := func(field string, err error) {
			errs = append(errs, &RuleError{Index: i - builtin, Field: field, Err: err})
		}
		switch {
		case r.Name == "":
			refuse("name", errMissing)
		case names[r.Name]:
			refuse("name", fmt.Errorf("must be unique, got %q again", r.Name))
		}
		names[r.Name] = true
		p.add(i, r, refuse)
	}
	if errs != nil {
		return nil, errors.Join(errs...)
	}
	return p, nil
}

var errMissing = errors.New("must be given")

// add checks all fields of a rule except its name, and adds it as the rule with index i. It calls refuse for each
// invalid field.
func (p *Policy) add(i int, r Rule, refuse func(field string, err error)) {
	if r.Attribute == "" {
		refuse("attribute", errMissing)
	}
	var holds test
	if op := slices.IndexFunc(operators, func(o operator) bool { return o.name == r.Operator }); op < 0 {
		refuse("operator", fmt.Errorf("must be %s, got %q", choice(operatorNames()), r.Operator))
	} else {
		var err error
		if holds, err = operators[op].compile(r.Value); err != nil {
			refuse("value", err)
		}
	}
	if _, err := path.Match(r.Executable, ""); err != nil {
		refuse("executable", fmt.Errorf("must be a pattern such as nginx or python*, got %q", r.Executable))
	} else if strings.Contains(r.Executable, "/") {
		refuse("executable", fmt.Errorf("must be a pattern of a program's name, without its path, got %q", r.Executable))
	}
	p.rules = append(p.rules, rule{r, holds})

	switch {
	case r.Operator == absent && r.Span == "":
		refuse("span", errors.New("must be given: all spans of other names lack the attribute too"))
	case r.Operator == absent && r.Attribute == spanName:
		refuse("operator", errors.New("must not be absent: every span has a name"))
	case r.Operator == absent:
		p.absent[r.Span] = append(p.absent[r.Span], i)
	case r.Attribute == spanName:
		p.byName = append(p.byName, i)
	default:
		key := attribute.Key(r.Attribute)
		p.byKey[key] = append(p.byKey[key], i)
		p.lengths |= lengthBit(key)
	}
}

// lengthBit returns the bit for the length of a key in Policy.lengths.
func lengthBit(key attribute.Key) uint64 { return 1 << (len(key) % 64) }

// Empty reports whether the policy has no rules. A nil policy has none.
func (p *Policy) Empty() bool { return p == nil || len(p.rules) == 0 }

// Check returns the names of the rules that a span violates, first the built-in rules, then the user's, each in their
// order; nil if it violates none. executable is the program's name without its path. Check allocates memory only if the
// span violates a rule or if a rule uses the operator contains.
func (p *Policy) Check(executable, span string, attrs []attribute.KeyValue) []string {
	if p.Empty() {
		return nil
	}
	var violated []int
	for _, i := range p.byName {
		if r := &p.rules[i]; r.isFor(executable, span) && r.holds(attribute.StringValue(span)) {
			violated = append(violated, i)
		}
	}
	for _, i := range p.absent[span] {
		if r := &p.rules[i]; r.isFor(executable, span) && !has(attrs, attribute.Key(r.Attribute)) {
			violated = append(violated, i)
		}
	}
	for a := range attrs {
		attr := &attrs[a]
		if p.lengths&lengthBit(attr.Key) == 0 {
			continue
		}
		for _, i := range p.byKey[attr.Key] {
			if r := &p.rules[i]; r.isFor(executable, span) && r.holds(attr.Value) {
				violated = append(violated, i)
			}
		}
	}
	if violated == nil {
		return nil
	}
	slices.Sort(violated)
	violated = slices.Compact(violated) // a rule occurs twice if the span has its attribute twice
	names := make([]string, len(violated))
	for n, i := range violated {
		names[n] = p.rules[i].Name
	}
	return names
}

func (r *rule) isFor(executable, span string) bool {
	if r.Span != "" && r.Span != span {
		return false
	}
	if r.Executable == "" {
		return true
	}
	matched, _ := path.Match(r.Executable, executable) // add checked the pattern
	return matched
}

func has(attrs []attribute.KeyValue, key attribute.Key) bool {
	return slices.ContainsFunc(attrs, func(a attribute.KeyValue) bool { return a.Key == key })
}

// choice formats the allowed words for an error message: "a, b or c".
func choice(words []string) string {
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}
