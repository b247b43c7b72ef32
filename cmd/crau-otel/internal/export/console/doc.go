// SPDX-License-Identifier: Apache-2.0

// Package console exports spans to a terminal or a pipe: as trees drawn for a person or as JSON, one span a line.
//
// Names and values come from the observed programs and are not trusted: whatever a terminal would act on, or show as
// nothing, is written as an escape.
package console
