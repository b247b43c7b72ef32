// SPDX-License-Identifier: Apache-2.0

package meaning

import (
	"go.opentelemetry.io/otel/attribute"

	"github.com/crau-otel/crau-otel/mapping/policy"
	"github.com/crau-otel/crau-otel/mapping/shape"
)

// Rules is everything that a meaning depends on besides the shape.
type Rules struct {
	// Scopes lists the scopes whose contexts become spans; empty means all.
	Scopes []string
	// Policy decides what is a violation. nil means that nothing is.
	Policy *policy.Policy
	// Library returns the attributes of a file, by the number that events give. It must return the same ones until
	// [Interpreter.SetRules] is called. nil: files have no attributes.
	Library func(file uint32) []attribute.KeyValue
	// MaxValueLength bounds the characters of a text attribute, except for the context's id. nil means no limit.
	MaxValueLength *int
}

// Interpreter makes and remembers meanings. It is used from one goroutine.
type Interpreter struct {
	rules   Rules
	cache   cache
	judged  publicKeys
	scratch scratch
}

// New returns an interpreter that remembers nothing yet.
func New(rules Rules) *Interpreter {
	return &Interpreter{rules: rules, cache: newCache(), judged: newPublicKeys()}
}

// SetRules replaces the rules, and forgets all meanings.
func (in *Interpreter) SetRules(rules Rules) {
	in.rules = rules
	in.cache.forget()
}

// Meaning returns the meaning of a shape. The result is valid until the next call.
func (in *Interpreter) Meaning(s *shape.Shape) *Meaning {
	hash := in.cache.hash(s)
	if m := in.cache.find(hash, s); m != nil {
		return m
	}
	m := in.interpret(s)
	if remembered := in.cache.remember(hash, s, m); remembered != nil {
		return remembered
	}
	return m
}
