// SPDX-License-Identifier: Apache-2.0

package meaning

import (
	"slices"

	"go.opentelemetry.io/otel/attribute"
)

// cutValues shortens every string in attrs, also inside lists, to limit characters: OpenTelemetry specification,
// "Attribute Limits".
func cutValues(attrs []attribute.KeyValue, limit int) {
	for i := range attrs {
		switch v := attrs[i].Value; v.Type() {
		case attribute.STRING:
			if s := v.AsString(); len(s) > limit {
				attrs[i].Value = attribute.StringValue(cut(s, limit))
			}
		case attribute.STRINGSLICE:
			list := v.AsStringSlice()
			if slices.ContainsFunc(list, func(s string) bool { return len(s) > limit }) {
				for j, s := range list {
					list[j] = cut(s, limit)
				}
				attrs[i].Value = attribute.StringSliceValue(list)
			}
		default:
		}
	}
}

// cut returns the first limit characters of s.
func cut(s string, limit int) string {
	n := 0
	for i := range s {
		if n == limit {
			return s[:i]
		}
		n++
	}
	return s
}
