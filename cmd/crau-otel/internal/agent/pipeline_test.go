// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"testing"

	"github.com/crau-otel/crau-otel/mapping"
)

func TestKeep(t *testing.T) {
	violating := mapping.Tree{Violates: true}
	for _, c := range []struct {
		kinds []string
		tree  mapping.Tree
		want  bool
	}{
		{nil, violating, false},
		{nil, mapping.Tree{Downgraded: true, Weak: true}, false},
		{[]string{"violations"}, violating, true},
		{[]string{"violations"}, mapping.Tree{Downgraded: true, Weak: true, Failed: true}, false},
		{[]string{"downgrades"}, mapping.Tree{Downgraded: true}, true},
		{[]string{"downgrades"}, mapping.Tree{Weak: true}, false},
		{[]string{"weak"}, mapping.Tree{Weak: true}, true},
		{[]string{"weak"}, mapping.Tree{Downgraded: true}, false},
		{[]string{"violations", "downgrades", "weak"}, mapping.Tree{}, false},
		{[]string{"violations", "downgrades", "weak"}, violating, true},
	} {
		if got := keep(c.kinds)(c.tree); got != c.want {
			t.Errorf("keep %v: %v of %+v", c.kinds, got, c.tree)
		}
	}
}
