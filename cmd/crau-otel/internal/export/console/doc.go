// SPDX-License-Identifier: Apache-2.0

// Package console exports spans to a terminal or a pipe: as trees drawn for a person, or as JSON with one span per
// line.
//
// Names and values come from the observed programs and are not trusted: characters that a terminal would act on, or not
// display, are written as escapes.
package console
