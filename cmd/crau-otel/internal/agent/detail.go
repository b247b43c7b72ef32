// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"hash/maphash"
	"slices"
	"time"

	"go.opentelemetry.io/otel/codes"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/config"
	"github.com/crau-otel/crau-otel/mapping"
	"github.com/crau-otel/crau-otel/mapping/memo"
)

// firstAgain is how long after a whole tree of a kind the next one is exported whole.
const firstAgain = time.Hour

// detail decides how much of each tree is exported, as spans.detail and spans.whole say. It is not safe for concurrent use.
type detail struct {
	rootOnly bool
	kept     func(mapping.Tree) bool // violations, downgrades, weak
	failed   bool
	first    bool
	seed     maphash.Seed
	last     memo.Table[treeKind, time.Time] // when the last tree of a kind began that was exported whole
}

// treeKind is what trees have in common that differ in nothing but ids, times and the process.
type treeKind struct {
	executable string
	says       uint64 // the root's fingerprint
}

func newDetail(cfg config.Spans) *detail {
	return &detail{
		rootOnly: cfg.Detail == config.DetailHandshake,
		kept:     keep(cfg.Whole),
		failed:   slices.Contains(cfg.Whole, config.WholeFailed),
		first:    slices.Contains(cfg.Whole, config.WholeFirst),
		seed:     maphash.MakeSeed(),
		last:     memo.New[treeKind, time.Time](4096),
	}
}

// of returns the tree, or its root alone, which sums up the handshake. Trees that are no handshakes, and later parts of
// a tree that was exported in parts, stay as they are.
func (d *detail) of(t mapping.Tree) mapping.Tree {
	if !d.rootOnly || len(t.Spans) == 1 || t.Spans[0].ParentID.IsValid() {
		return t
	}
	i := slices.IndexFunc(t.Operations, func(op mapping.Operation) bool { return op.Handshake })
	if i < 0 || d.kept(t) || d.failed && hasFailed(t) || d.first && d.isFirst(t, t.Operations[i].Executable) {
		return t
	}
	t.Spans = t.Spans[:1]
	return t
}

func hasFailed(t mapping.Tree) bool {
	return slices.ContainsFunc(t.Spans, func(s mapping.Span) bool { return s.Status.Code == codes.Error })
}

// isFirst reports whether no tree of this kind began in the hour before it that was exported whole.
func (d *detail) isFirst(t mapping.Tree, executable string) bool {
	root := &t.Spans[0]
	kind := treeKind{executable, root.Fingerprint(d.seed)}
	hash := kind.says ^ memo.Sample(executable)
	if last := d.last.Get(hash, kind); last != nil && root.Start.Sub(*last) < firstAgain {
		return false
	}
	d.last.Put(hash, kind, root.Start)
	return true
}
