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

// word returns s unchanged if a reader sees that it is one word, else in quotes. In quotes, control characters,
// bidirectional overrides, unusual blanks, invalid UTF-8 and other characters that do not print are escaped. special
// lists additional characters that need quotes.
func word(s, special string) string {
	if s == "" || !printable(s) || strings.ContainsAny(s, special+` "`) {
		return strconv.Quote(s)
	}
	return s
}

// Phrase returns s unchanged or in quotes like word, but does not need quotes for single blanks between words.
func Phrase(s string) string {
	if s == "" || !printable(s) || strings.Contains(s, `"`) || strings.Join(strings.Fields(s), " ") != s {
		return strconv.Quote(s)
	}
	return s
}

func printable(s string) bool {
	return utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool { return !strconv.IsPrint(r) }) < 0
}

// value formats v for a person: strings as words, lists in brackets.
func value(v attribute.Value) string {
	switch v.Type() {
	case attribute.STRING:
		s := v.AsString()
		if strings.HasPrefix(s, "[") {
			return strconv.Quote(s) // otherwise it would look like a list
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

// Escape returns text with an escape for each character that does not print, except for line feeds: a terminal may act
// on such characters or hide them. If text is JSON, its meaning does not change, because JSON contains such characters
// only in strings.
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
