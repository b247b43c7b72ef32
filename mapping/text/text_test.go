// SPDX-License-Identifier: Apache-2.0

package text_test

import (
	"strconv"
	"testing"
	"unicode/utf8"

	"go.opentelemetry.io/otel/attribute"

	"github.com/crau-otel/crau-otel/mapping/text"
)

func TestEscapes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ raw, valid, name string }{
		{"", "", ""},
		{"nginx", "nginx", "nginx"},
		{"größe 日本", "größe 日本", "größe 日本"},
		{"caf\xe9", `caf\xe9`, `caf\xe9`},
		{"a\nb\x1b[31m", "a\nb\x1b[31m", `a\nb\x1b[31m`},
		{"a\u202eb\u2028", "a\u202eb\u2028", `a\u202eb\u2028`},
		{"\xff\x00\n", "\\xff\x00\n", `\xff\x00\n`},
		{"\ufffd", "\ufffd", "\ufffd"},
		{`back\slash`, `back\slash`, `back\slash`},
	} {
		if got := text.Valid(c.raw); got != c.valid {
			t.Errorf("Valid(%q) is %q, want %q", c.raw, got, c.valid)
		}
		if got := text.Name([]byte(c.raw)); got != c.name {
			t.Errorf("Name(%q) is %q, want %q", c.raw, got, c.name)
		}
	}
}

func TestAttributesAreCopiedOnlyIfTheyChange(t *testing.T) {
	t.Parallel()
	fine := []attribute.KeyValue{
		attribute.String("a", "b"), attribute.Int("n", 1), attribute.StringSlice("l", []string{"x", "y"}),
	}
	if got := text.Attributes(fine); &got[0] != &fine[0] {
		t.Error("attributes without anything to fix were copied")
	}
	bad := append(fine[:2:2], attribute.StringSlice("l", []string{"x", "\xff"}), attribute.String("k\n", "v\r"))
	got := text.Attributes(bad)
	want := []attribute.KeyValue{
		fine[0], fine[1], attribute.StringSlice("l", []string{"x", `\xff`}), attribute.String(`k\n`, `v\r`),
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("attribute %d is %v, want %v", i, got[i], want[i])
		}
	}
	if bad[3].Key != "k\n" {
		t.Error("the argument was changed")
	}
}

func FuzzName(f *testing.F) {
	f.Add("a\nb\xff")
	f.Fuzz(func(t *testing.T, raw string) {
		name := text.Name(raw)
		if !utf8.ValidString(name) || !utf8.ValidString(text.Valid(raw)) {
			t.Fatalf("%q is not UTF-8", name)
		}
		for _, r := range name {
			if !strconv.IsPrint(r) {
				t.Fatalf("%q contains %U", name, r)
			}
		}
		if again := text.Name(name); again != name {
			t.Fatalf("%q changes again to %q", name, again)
		}
	})
}
