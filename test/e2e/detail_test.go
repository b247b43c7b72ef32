// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"strings"
	"testing"

	"github.com/crau-otel/crau-otel/test/harness"
)

// With spans.detail: handshake, only the first tree of each shape is exported whole. Of every other tree only the root
// is exported, with the same attributes as in a whole tree. Every hit counts as exported.
func TestDetailHandshakeExportsRootsAndFirstTrees(t *testing.T) {
	t.Parallel()
	sample := ownSample(t)
	a := trace(t, sample, "--detail", "handshake")
	hits := harness.RunSample(t, sample, "--rate", "0", "--count", "5")
	n := a.Stop()
	n.CheckExact(t, hits)
	if n["spans"] != 11+7+4+4 || n["trees"] != 10 {
		t.Errorf("%d spans of %d trees, want 26 of 10", n["spans"], n["trees"])
	}
	whole := map[string]int{}
	for _, root := range harness.Trees(t, a.ConsoleSpans()) {
		want := harness.ServerTree
		if root.Attributes["tls.role"] == "client" {
			want = harness.ClientTree
		}
		if len(root.Children) > 0 {
			whole[root.Attributes["tls.role"].(string)]++
		} else {
			want, _, _ = strings.Cut(want, "\n  ")
			want += "\n"
		}
		if got := root.Text(); got != want {
			t.Errorf("got\n%swant\n%s", got, want)
		}
	}
	if whole["client"] != 1 || whole["server"] != 1 {
		t.Errorf("whole trees: %v, want one of each side", whole)
	}
}
