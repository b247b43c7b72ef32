// SPDX-License-Identifier: Apache-2.0

package meaning

import (
	"go.opentelemetry.io/otel/attribute"

	"github.com/crau-otel/crau-otel/mapping/policy"
	"github.com/crau-otel/crau-otel/mapping/shape"
)

// Rules holds everything besides the shape that a meaning depends on.
type Rules struct {
	// Scopes lists the scopes whose contexts become spans; empty means all.
	Scopes []string
	// Policy finds violations. nil means that no span violates anything.
	Policy *policy.Policy
	// Library returns the attributes of the file with a file number. Its results must not change until
	// [Interpreter.SetRules] is called. nil means that files have no attributes and that all are trusted.
	Library func(file uint32) []attribute.KeyValue
	// MaxValueLength is the maximum number of characters in a string attribute. It does not apply to crypto.context.id.
	// nil means no limit.
	MaxValueLength *int
}

// Interpreter computes and caches meanings. It is not safe for concurrent use.
type Interpreter struct {
	rules   Rules
	cache   cache
	judged  publicKeys
	scratch scratch
}

// New returns an interpreter with an empty cache.
func New(rules Rules) *Interpreter {
	return &Interpreter{rules: rules, cache: newCache(), judged: newPublicKeys()}
}

// SetRules replaces the rules and empties the cache, because cached meanings depend on the rules.
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
