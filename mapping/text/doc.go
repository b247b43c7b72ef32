// SPDX-License-Identifier: Apache-2.0

// Package text makes text from outside crau-otel fit for spans, resources, metrics and logs.
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
// Nothing ever decodes the escapes, and a literal backslash is not escaped: the text is for people.
package text
