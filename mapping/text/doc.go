// SPDX-License-Identifier: Apache-2.0

// Package text converts text from outside crau-otel to text that is safe in spans, resources, metrics and logs.
//
// Probes, file names and /proc contain arbitrary bytes. OTLP and JSON require valid UTF-8: one stray byte would make a
// receiver reject a whole request. Names also reach terminals and metric labels, where control characters can hide or
// forge lines. Therefore everything that a program or a file name contributes passes through this package before it is
// stored:
//
//   - [Valid] is for values, which are changed as little as possible.
//   - [Name] is for names of programs, files, contexts and keys.
//   - [Attributes] is for attributes that a hook of the mapper returns.
//
// The escapes are for human readers and cannot be decoded unambiguously: a backslash in the input is not escaped.
package text
