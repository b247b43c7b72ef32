// SPDX-License-Identifier: Apache-2.0

// Package text makes text from outside crau-otel fit for spans, resources, metrics and logs.
//
// Probes, file names and /proc carry arbitrary bytes, while OTLP and JSON need valid UTF-8: one stray byte would cost
// the whole request. Whatever a program or a file name contributes goes through this package before it is stored.
package text

import (
	"encoding/hex"
	"strings"
	"unicode/utf8"
)

// Valid returns b as valid UTF-8. Each byte that is not part of a valid sequence becomes \xHH.
func Valid(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}
	var sb strings.Builder
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if r == utf8.RuneError && n <= 1 {
			sb.WriteString(`\x`)
			sb.WriteString(hex.EncodeToString(b[:1]))
		} else {
			sb.Write(b[:n])
		}
		b = b[n:]
	}
	return sb.String()
}
