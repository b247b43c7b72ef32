// SPDX-License-Identifier: Apache-2.0

package agent

import "testing"

func TestEnvironmentThatWantsNoColor(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		noColor, term string
		want          bool
	}{
		{"", "xterm-256color", true},
		{"", "", true},
		{"1", "xterm-256color", false},
		{"0", "xterm-256color", false}, // any value counts
		{"", "dumb", false},
	} {
		got := wantsColor(func(name string) string { return map[string]string{"NO_COLOR": c.noColor, "TERM": c.term}[name] })
		if got != c.want {
			t.Errorf("NO_COLOR=%s TERM=%s: %v, want %v", c.noColor, c.term, got, c.want)
		}
	}
}
