// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"hash/maphash"
	"slices"
	"time"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/config"
	"github.com/crau-otel/crau-otel/mapping"
	"github.com/crau-otel/crau-otel/mapping/memo"
)

// firstAgain is how long after a tree that was exported whole the next tree of the same kind is exported whole.
const firstAgain = time.Hour

// detail decides how much of each tree is exported, as configured by spans.detail and spans.whole. It is not safe for
// concurrent use.
type detail struct {
	rootOnly bool
	isKept   func(mapping.Tree) bool // violations, downgrades, weak
	failed   bool
	first    bool
	seed     maphash.Seed
	last     memo.Table[treeKind, time.Time] // when the last tree of a kind that was exported whole began

	fingerprints memo.Table[uint64, uint64] // fingerprints of roots, by pattern
}

// treeKind is the same for trees that differ only in ids, times and the process.
type treeKind struct {
	executable  string
	fingerprint uint64 // fingerprint of the root
}

func newDetail(cfg config.Spans) *detail {
	return &detail{
		rootOnly: cfg.Detail == config.DetailHandshake,
		isKept:   keep(cfg.Whole),
		failed:   slices.Contains(cfg.Whole, config.WholeFailed),
		first:    slices.Contains(cfg.Whole, config.WholeFirst),
		seed:     maphash.MakeSeed(),
		last:     memo.New[treeKind, time.Time](4096),

		fingerprints: memo.New[uint64, uint64](512),
	}
}

// isWhole reports whether the whole tree is exported, and not only its root, which summarizes the handshake. Trees that
// are not handshakes, and later parts of a tree that was exported in parts, are exported whole. It looks only at the
// tree's first span.
func (d *detail) isWhole(t mapping.Tree) bool {
	if !d.rootOnly || t.Spans[0].ParentID.IsValid() || d.isKept(t) || d.failed && t.Failed {
		return true
	}
	for i := range t.Operations {
		if op := &t.Operations[i]; op.Handshake {
			return d.first && d.isFirst(&t.Spans[0], op.Executable)
		}
	}
	return true
}

// isFirst reports whether this is the first tree of its kind in an hour: no other that began in the hour before was
// exported whole.
func (d *detail) isFirst(root *mapping.Span, executable string) bool {
	kind := treeKind{executable, d.fingerprint(root)}
	hash := kind.fingerprint ^ memo.Sample(executable)
	if last := d.last.Get(hash, kind); last != nil && root.Start.Sub(*last) < firstAgain {
		return false
	}
	d.last.Put(hash, kind, root.Start)
	return true
}

// fingerprint returns the root's fingerprint. It is computed once for each pattern, because that takes as long as
// encoding a span.
func (d *detail) fingerprint(root *mapping.Span) uint64 {
	pattern, _, _ := root.Pattern()
	if pattern == 0 {
		return root.Fingerprint(d.seed)
	}
	if known := d.fingerprints.Get(pattern, pattern); known != nil {
		return *known
	}
	fingerprint := root.Fingerprint(d.seed)
	d.fingerprints.Put(pattern, pattern, fingerprint)
	return fingerprint
}

// keep returns a function that reports whether a tree is of one of these kinds.
func keep(kinds []string) func(mapping.Tree) bool {
	violations, downgrades, weak := slices.Contains(kinds, config.KeepViolations),
		slices.Contains(kinds, config.KeepDowngrades), slices.Contains(kinds, config.KeepWeak)
	return func(t mapping.Tree) bool {
		return downgrades && t.Downgraded || weak && t.Weak || violations && t.Violates
	}
}
