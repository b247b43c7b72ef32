// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"errors"
	"fmt"
	"regexp"
	"slices"

	"go.opentelemetry.io/otel/attribute"
)

// test reports whether a rule's condition is true for an attribute's value.
type test func(attribute.Value) bool

// operator is an operator of rules. compile turns the value of a rule into a test.
type operator struct {
	name    string
	compile func(value any) (test, error)
}

const absent = "absent"

// operators contains all operators, in the order in which error messages list them.
var operators = []operator{
	{"equals", equals},
	{"not_equals", notEquals},
	{"in", in},
	{"not_in", notIn},
	{"matches", matches},
	{"not_matches", notMatches},
	{"less_than", lessThan},
	{"greater_than", greaterThan},
	{"contains", contains},
	{"exists", exists},
	{absent, func(value any) (test, error) { return nil, none(value) }},
}

func operatorNames() []string {
	var names []string
	for _, o := range operators {
		names = append(names, o.name)
	}
	return names
}

func equals(value any) (test, error) {
	want, err := scalar(value)
	return func(got attribute.Value) bool { return got == want }, err
}

func notEquals(value any) (test, error) {
	want, err := scalar(value)
	return func(got attribute.Value) bool { return got.Type() == want.Type() && got != want }, err
}

func in(value any) (test, error) {
	want, err := scalars(value)
	return func(got attribute.Value) bool { return slices.Contains(want, got) }, err
}

func notIn(value any) (test, error) {
	want, err := scalars(value)
	return func(got attribute.Value) bool {
		return got.Type() == want[0].Type() && !slices.Contains(want, got)
	}, err
}

func matches(value any) (test, error) {
	re, err := expression(value)
	return func(got attribute.Value) bool {
		return got.Type() == attribute.STRING && re.MatchString(got.AsString())
	}, err
}

func notMatches(value any) (test, error) {
	re, err := expression(value)
	return func(got attribute.Value) bool {
		return got.Type() == attribute.STRING && !re.MatchString(got.AsString())
	}, err
}

func lessThan(value any) (test, error) {
	limit, err := whole(value)
	return func(got attribute.Value) bool { return got.Type() == attribute.INT64 && got.AsInt64() < limit }, err
}

func greaterThan(value any) (test, error) {
	limit, err := whole(value)
	return func(got attribute.Value) bool { return got.Type() == attribute.INT64 && got.AsInt64() > limit }, err
}

func contains(value any) (test, error) {
	want, err := scalar(value)
	return func(got attribute.Value) bool {
		switch want.Type() {
		case attribute.STRING:
			return slices.Contains(got.AsStringSlice(), want.AsString())
		case attribute.INT64:
			return slices.Contains(got.AsInt64Slice(), want.AsInt64())
		default:
			return slices.Contains(got.AsBoolSlice(), want.AsBool())
		}
	}, err
}

func exists(value any) (test, error) {
	return func(attribute.Value) bool { return true }, none(value)
}

func none(value any) error {
	if value != nil {
		return errors.New("must be omitted with this operator")
	}
	return nil
}

// scalar converts a string, int or bool in a rule to an attribute value. It returns an error for other types.
func scalar(value any) (attribute.Value, error) {
	switch v := value.(type) {
	case string:
		return attribute.StringValue(v), nil
	case int:
		return attribute.IntValue(v), nil
	case bool:
		return attribute.BoolValue(v), nil
	}
	return attribute.Value{}, refuse("text, a whole number, true or false", value)
}

func scalars(value any) ([]attribute.Value, error) {
	elements, ok := value.([]any)
	if !ok || len(elements) == 0 {
		return nil, refuse("a list that is not empty", value)
	}
	values := make([]attribute.Value, len(elements))
	for i, element := range elements {
		var err error
		if values[i], err = scalar(element); err != nil {
			return nil, fmt.Errorf("element %d: %w", i, err)
		}
		if values[i].Type() != values[0].Type() {
			return nil, fmt.Errorf("must be a list of one type, got %s and %s", show(elements[0]), show(element))
		}
	}
	return values, nil
}

func expression(value any) (*regexp.Regexp, error) {
	text, ok := value.(string)
	if !ok {
		return nil, refuse("a regular expression", value)
	}
	return regexp.Compile(text)
}

func whole(value any) (int64, error) {
	n, ok := value.(int)
	if !ok {
		return 0, refuse("a whole number", value)
	}
	return int64(n), nil
}

func refuse(want string, value any) error {
	return fmt.Errorf("must be %s, got %s", want, show(value))
}

// show formats a rule's value for an error message.
func show(value any) string {
	switch v := value.(type) {
	case nil:
		return "nothing"
	case []any:
		if len(v) > 0 {
			return "a list"
		}
		return "an empty list"
	case string:
		return fmt.Sprintf("%q", v)
	default:
		return fmt.Sprint(v)
	}
}
