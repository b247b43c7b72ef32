// SPDX-License-Identifier: Apache-2.0

// Package text makes text from outside crau-otel fit for spans, resources, metrics and logs.
//
// Probes, file names and /proc carry arbitrary bytes. OTLP and JSON require valid UTF-8: one stray byte would cost a
// whole request. Names also end up in terminals and in metric labels, where control characters can hide or forge lines.
// Therefore everything that a program or a file name contributes passes through here before it is stored:
//
//   - [Valid] is for values, which keep what they are.
//   - [Name] is for names of programs, files, contexts and keys.
//   - [Attributes] is for attributes that a hook of the mapper returns.
//
// Escapes are not undone anywhere, and a literal backslash is not escaped: the text is for people.
package text
