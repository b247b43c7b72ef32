// SPDX-License-Identifier: Apache-2.0

package console

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"go.opentelemetry.io/otel/attribute"
)

// word returns s as it stands if it is visibly one word, else quoted, with control characters, bidirectional
// overrides, odd blanks, invalid UTF-8 and the like as escapes. special are further characters that need the quotes.
func word(s, special string) string {
	if s == "" || !printable(s) || strings.ContainsAny(s, special+` "`) {
		return strconv.Quote(s)
	}
	return s
}

// Phrase returns s as [word] does, but lets single blanks between words stand.
func Phrase(s string) string {
	if s == "" || !printable(s) || strings.Contains(s, `"`) || strings.Join(strings.Fields(s), " ") != s {
		return strconv.Quote(s)
	}
	return s
}

func printable(s string) bool {
	return utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool { return !strconv.IsPrint(r) }) < 0
}

// value returns v for a person: strings as words, lists in brackets.
func value(v attribute.Value) string {
	switch v.Type() {
	case attribute.STRING:
		s := v.AsString()
		if strings.HasPrefix(s, "[") {
			return strconv.Quote(s) // else it would pass for a list
		}
		return word(s, "")
	case attribute.STRINGSLICE:
		list := v.AsStringSlice()
		for i, s := range list {
			list[i] = word(s, ",[]")
		}
		return "[" + strings.Join(list, ",") + "]"
	default:
		return Escape(v.String())
	}
}

// Escape returns text with the characters escaped that do not print, but for line feeds: a terminal may act on them or
// hide them. What it returns for JSON has the same meaning, since JSON has such characters only in strings.
func Escape(text string) string {
	var b strings.Builder
	for _, r := range text {
		switch {
		case strconv.IsPrint(r) || r == '\n':
			b.WriteRune(r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}
