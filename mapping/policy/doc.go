// SPDX-License-Identifier: Apache-2.0

// Package policy decides which spans violate the rules that a user configured: those of a built-in set, rules of the
// user's own, or both.
//
//	p, err := policy.New(policy.Config{
//		Name: "hybrid-ok",
//		Rules: []policy.Rule{{
//			Name: "no-cbc", Attribute: "tls.cipher", Operator: "matches", Value: "_CBC_",
//		}},
//	})
//	violated := p.Check("nginx", "tls::handshake", attributes)
//
// A [Rule] describes a violation, not a requirement: a span of which "attribute operator value" is true violates the
// rule. A span without the attribute violates nothing, unless the operator is absent. Neither does a span whose
// attribute has another type than the rule's value (boolean, integer, text, or a list of one of these), whatever the
// operator: not_equals 5 is not true of text.
//
// A [Policy] is immutable and can be shared between goroutines.
package policy
