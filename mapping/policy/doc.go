// SPDX-License-Identifier: Apache-2.0

// Package policy decides which spans violate the rules that a user configured: a built-in set, the user's own rules, or
// both.
//
//	p, err := policy.New(policy.Config{
//		Name: "hybrid-ok",
//		Rules: []policy.Rule{{
//			Name: "no-cbc", Attribute: "tls.cipher", Operator: "matches", Value: "_CBC_",
//		}},
//	})
//	violated := p.Check("nginx", "tls::handshake", attributes)
//
// A [Rule] describes a violation, not a requirement: a span violates the rule if "attribute operator value" is true for
// it. A span without the attribute violates only rules with the operator absent. A span whose attribute has another
// type than the rule's value (boolean, integer, text, or a list of one of these) violates nothing, whatever the
// operator: not_equals 5 is not true for text.
//
// A [Policy] is immutable and can be shared between goroutines.
package policy
