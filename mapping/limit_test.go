// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"testing"
	"unicode/utf8"
)

// The limit counts characters and applies to every text of a span but the context's id, which identifies.
func TestAttributeValueLengthLimit(t *testing.T) {
	t.Setenv("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "5")
	f := newFeed(t, Config{})
	for range 3 { // the last ones come from the cache
		f.Open(1, none, name("app::thing"), s("app::ascii", "abcdefgh"), s("app::letters", "äöüäöüäöü"), s("app::short", "abc"))
		f.m.Flush()
	}
	for _, tree := range f.trees {
		got := attributeMap(tree.Spans[0].Attributes())
		if got["app.ascii"] != "abcde" || got["app.letters"] != "äöüäö" || got["app.short"] != "abc" {
			t.Errorf("attributes are %v", got)
		}
		for key, value := range got {
			if n := utf8.RuneCountInString(value); n > 5 && key != "crypto.context.id" {
				t.Errorf("%s has %d characters: %s", key, n, value)
			}
		}
	}
	f.finish()
}

// 0 leaves every text empty, and a negative limit is none.
func TestAttributeValueLengthLimitsAtTheEdge(t *testing.T) {
	for limit, want := range map[string]string{"0": "", "1": "a", "-1": "abc", "": "abc"} {
		t.Setenv("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", limit)
		f := newFeed(t, Config{})
		f.Open(1, none, name("app::thing"), s("app::text", "abc"))
		f.m.Flush()
		got := attributeMap(f.trees[0].Spans[0].Attributes())
		if got["app.text"] != want || got["crypto.context.id"] == "" {
			t.Errorf("limit %q: attributes are %v", limit, got)
		}
		f.finish()
	}
}
