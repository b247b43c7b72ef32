// SPDX-License-Identifier: Apache-2.0

// Package policy decides which spans violate: by the rules of a built-in set, by a user's own, or by both.
//
// A rule says what is a violation, not what is required: "attribute, operator, value" holds of the span, so the span
// violates. A span without the attribute does not, save for the operator absent; nor does one whose attribute is of
// another type than the rule's value (true or false, a whole number, text, or a list of one of these), whatever the
// operator: not_equals 5 says nothing of text.
package policy
