// SPDX-License-Identifier: Apache-2.0

package check

import (
	"strings"
	"testing"
)

func TestWrite(t *testing.T) {
	t.Parallel()
	r := Report{
		{"kernel", OK, "6.18.44", ""},
		{"uprobe_multi", Degraded, strings.Repeat("word ", 22) + "end", "Linux 6.6 or later"},
		{"BTF", Unknown, "?", "look"},
	}
	var text, json strings.Builder
	if err := r.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	want := `ok        kernel        6.18.44
degraded  uprobe_multi  word word word word word word word word word word word word word word word word word
                        word word word word word end
                        -> Linux 6.6 or later
unknown   BTF           ?
                        -> look

crau-otel runs here, with what is degraded: 1 of 3
`
	if text.String() != want {
		t.Errorf("got:\n%s\nwant:\n%s", text.String(), want)
	}
	if err := r[:1].WriteJSON(&json); err != nil {
		t.Fatal(err)
	}
	if want := "[\n  {\n    \"name\": \"kernel\",\n    \"status\": \"ok\",\n    \"detail\": \"6.18.44\"\n  }\n]\n"; json.String() != want {
		t.Errorf("got %s, want %s", json.String(), want)
	}
}
