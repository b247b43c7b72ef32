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

// firstAgain is how long after the first tree of a kind another tree of that kind counts as the first again.
const firstAgain = time.Hour

// detail decides whether the whole of a tree is exported, or only its root, as configured by spans.detail and
// spans.whole. It is not safe for concurrent use.
type detail struct {
	rootOnly bool                    // spans.detail is handshake
	isKept   func(mapping.Tree) bool // for the values violations, downgrades and weak of spans.whole
	failed   bool                    // spans.whole contains failed
	first    bool                    // spans.whole contains first
	seed     maphash.Seed
	last     memo.Table[treeKind, time.Time] // start of the last tree of a kind that isFirst selected

	fingerprints memo.Table[uint64, uint64] // cache of fingerprint, by the pattern of the root
}

// treeKind identifies trees that differ only in ids, times and the process.
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

// isWhole reports whether a whole tree is exported, and not only its root, which summarizes the handshake. Two sorts of
// trees are always exported whole: those that contain no handshake, and the later parts of a tree that is exported in
// parts. t.Spans need only contain the first span.
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

// isFirst reports whether a tree is the first of its kind in an hour: isFirst has not returned true for any tree of
// this kind that began within the hour before.
func (d *detail) isFirst(root *mapping.Span, executable string) bool {
	kind := treeKind{executable, d.fingerprint(root)}
	hash := kind.fingerprint ^ memo.Sample(executable)
	if last := d.last.Get(hash, kind); last != nil && root.Start.Sub(*last) < firstAgain {
		return false
	}
	d.last.Put(hash, kind, root.Start)
	return true
}

// fingerprint returns the fingerprint of a root. It caches fingerprints by pattern, because computing one takes as long
// as encoding a span.
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

// keep returns a function that reports whether any of these kinds applies to a tree.
func keep(kinds []string) func(mapping.Tree) bool {
	violations, downgrades, weak := slices.Contains(kinds, config.KeepViolations),
		slices.Contains(kinds, config.KeepDowngrades), slices.Contains(kinds, config.KeepWeak)
	return func(t mapping.Tree) bool {
		return downgrades && t.Downgraded || weak && t.Weak || violations && t.Violates
	}
}
