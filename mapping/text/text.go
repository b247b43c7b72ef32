// SPDX-License-Identifier: Apache-2.0

package text

import (
	"encoding/hex"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.opentelemetry.io/otel/attribute"
)

// Valid returns s as valid UTF-8. Each byte that is not part of a valid sequence becomes \xHH.
func Valid[T ~string | ~[]byte](s T) string {
	if text := string(s); utf8.ValidString(text) {
		return text
	}
	return escape(string(s), func(rune) bool { return true })
}

// Name returns s as valid UTF-8 that is safe to show in one line. Control characters, overrides of the text direction
// and other characters that are not printable become escapes such as \n or \u202e. Bytes that are not part of valid
// UTF-8 become \xHH.
func Name[T ~string | ~[]byte](s T) string {
	text := string(s)
	if utf8.ValidString(text) && strings.IndexFunc(text, func(r rune) bool { return !strconv.IsPrint(r) }) < 0 {
		return text
	}
	return escape(text, strconv.IsPrint)
}

// escape escapes the bytes of s that are not valid UTF-8, and the characters for which stands returns false.
func escape(s string, stands func(rune) bool) string {
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && n <= 1:
			b.WriteString(`\x` + hex.EncodeToString([]byte(s[:1])))
		case stands(r):
			b.WriteString(s[:n])
		default:
			quoted := strconv.QuoteRune(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		}
		s = s[n:]
	}
	return b.String()
}

// Attributes returns attrs with [Name] applied to all keys and string values. It returns attrs itself if nothing
// changes, otherwise a copy.
func Attributes(attrs []attribute.KeyValue) []attribute.KeyValue {
	var fixed []attribute.KeyValue
	for i, a := range attrs {
		clean := attribute.KeyValue{Key: attribute.Key(Name(string(a.Key))), Value: value(a.Value)}
		if fixed == nil && (clean.Key != a.Key || clean.Value != a.Value) {
			fixed = append(make([]attribute.KeyValue, 0, len(attrs)), attrs[:i]...)
		}
		if fixed != nil {
			fixed = append(fixed, clean)
		}
	}
	if fixed == nil {
		return attrs
	}
	return fixed
}

func value(v attribute.Value) attribute.Value {
	switch v.Type() {
	case attribute.STRING:
		return attribute.StringValue(Name(v.AsString()))
	case attribute.STRINGSLICE:
		list := v.AsStringSlice()
		for i, s := range list {
			list[i] = Name(s)
		}
		return attribute.StringSliceValue(list)
	default:
		return v
	}
}
