// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/config"
	"github.com/crau-otel/crau-otel/mapping"
)

// Depending on the configuration, a tree is exported whole, or only its root is.
func TestWhichTreesAreExportedWhole(t *testing.T) {
	t.Parallel()
	handshake := []mapping.Operation{{Executable: "nginx", Handshake: true}, {}}
	root, later := make([]mapping.Span, 1), []mapping.Span{{ParentID: trace.SpanID{1}}}
	all := config.Default().Spans.Whole
	for name, c := range map[string]struct {
		detail string
		whole  []string
		tree   mapping.Tree
		want   bool
	}{
		"full":                  {"full", all, mapping.Tree{Operations: handshake, Spans: root}, true},
		"handshake":             {"handshake", nil, mapping.Tree{Operations: handshake, Spans: root}, false},
		"no handshake":          {"handshake", nil, mapping.Tree{Operations: handshake[1:], Spans: root}, true},
		"later part of a tree":  {"handshake", nil, mapping.Tree{Operations: handshake, Spans: later}, true},
		"violation":             {"handshake", all, mapping.Tree{Operations: handshake, Spans: root, Violates: true}, true},
		"downgraded":            {"handshake", all, mapping.Tree{Operations: handshake, Spans: root, Downgraded: true}, true},
		"weak":                  {"handshake", all, mapping.Tree{Operations: handshake, Spans: root, Weak: true}, true},
		"weak, not asked for":   {"handshake", []string{"downgrades"}, mapping.Tree{Operations: handshake, Spans: root, Weak: true}, false},
		"failed":                {"handshake", []string{"failed"}, mapping.Tree{Operations: handshake, Spans: root, Failed: true}, true},
		"failed, not asked for": {"handshake", []string{"weak"}, mapping.Tree{Operations: handshake, Spans: root, Failed: true}, false},
		"first of its kind":     {"handshake", []string{"first"}, mapping.Tree{Operations: handshake, Spans: root}, true},
	} {
		if got := newDetail(config.Spans{Detail: c.detail, Whole: c.whole}).isWhole(c.tree); got != c.want {
			t.Errorf("%s: whole is %v, want %v", name, got, c.want)
		}
	}
}

// For each program, the first tree of a kind within an hour is exported whole.
func TestFirstOfAKind(t *testing.T) {
	t.Parallel()
	d := newDetail(config.Spans{Detail: "handshake", Whole: []string{"first"}})
	start := time.Now()
	for i, c := range []struct {
		program, name string
		after         time.Duration
		want          bool
	}{
		{"nginx", "tls::handshake", 0, true},
		{"nginx", "tls::handshake", time.Second, false},
		{"curl", "tls::handshake", time.Second, true},
		{"nginx", "ssh::handshake", time.Second, true},
		{"nginx", "tls::handshake", 59 * time.Minute, false},
		{"nginx", "tls::handshake", 61 * time.Minute, true},
		{"nginx", "tls::handshake", 62 * time.Minute, false},
	} {
		got := d.isWhole(mapping.Tree{
			Operations: []mapping.Operation{{Executable: c.program, Handshake: true}},
			Spans:      []mapping.Span{{Name: c.name, Start: start.Add(c.after)}},
		})
		if got != c.want {
			t.Errorf("%d, %s of %s after %v: whole is %v, want %v", i, c.name, c.program, c.after, got, c.want)
		}
	}
}

func TestKindsOfTreesThatAreKept(t *testing.T) {
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
