// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"testing"
	"time"

	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/config"
	"github.com/crau-otel/crau-otel/mapping"
)

// Which trees are exported whole and which as their root alone.
func TestDetail(t *testing.T) {
	t.Parallel()
	handshake := []mapping.Operation{{Executable: "nginx", Handshake: true}, {}}
	spans := make([]mapping.Span, 3)
	failed := []mapping.Span{{}, {}, {Status: sdktrace.Status{Code: codes.Error}}}
	all := config.Default().Spans.Whole
	for name, c := range map[string]struct {
		detail string
		whole  []string
		tree   mapping.Tree
		want   int
	}{
		"full":                  {"full", all, mapping.Tree{Operations: handshake, Spans: spans}, 3},
		"handshake":             {"handshake", nil, mapping.Tree{Operations: handshake, Spans: spans}, 1},
		"no handshake":          {"handshake", nil, mapping.Tree{Operations: handshake[1:], Spans: spans}, 3},
		"later part of a tree":  {"handshake", nil, mapping.Tree{Operations: handshake, Spans: []mapping.Span{{ParentID: trace.SpanID{1}}, {}}}, 2},
		"downgraded":            {"handshake", all, mapping.Tree{Operations: handshake, Spans: spans, Downgraded: true}, 3},
		"weak":                  {"handshake", all, mapping.Tree{Operations: handshake, Spans: spans, Weak: true}, 3},
		"weak, not asked for":   {"handshake", []string{"downgrades"}, mapping.Tree{Operations: handshake, Spans: spans, Weak: true}, 1},
		"failed":                {"handshake", []string{"failed"}, mapping.Tree{Operations: handshake, Spans: failed}, 3},
		"failed, not asked for": {"handshake", []string{"weak"}, mapping.Tree{Operations: handshake, Spans: failed}, 1},
		"first of its kind":     {"handshake", []string{"first"}, mapping.Tree{Operations: handshake, Spans: spans}, 3},
	} {
		if got := newDetail(config.Spans{Detail: c.detail, Whole: c.whole}).of(c.tree); len(got.Spans) != c.want {
			t.Errorf("%s: %d spans, want %d", name, len(got.Spans), c.want)
		}
	}
}

// The first tree of a kind is exported whole, once in an hour, for each program.
func TestFirstOfAKind(t *testing.T) {
	t.Parallel()
	d := newDetail(config.Spans{Detail: "handshake", Whole: []string{"first"}})
	start := time.Now()
	for i, c := range []struct {
		program, name string
		after         time.Duration
		want          int
	}{
		{"nginx", "tls::handshake", 0, 2},
		{"nginx", "tls::handshake", time.Second, 1},
		{"curl", "tls::handshake", time.Second, 2},
		{"nginx", "ssh::handshake", time.Second, 2},
		{"nginx", "tls::handshake", 59 * time.Minute, 1},
		{"nginx", "tls::handshake", 61 * time.Minute, 2},
		{"nginx", "tls::handshake", 62 * time.Minute, 1},
	} {
		got := d.of(mapping.Tree{
			Operations: []mapping.Operation{{Executable: c.program, Handshake: true}},
			Spans:      []mapping.Span{{Name: c.name, Start: start.Add(c.after)}, {}},
		})
		if len(got.Spans) != c.want {
			t.Errorf("%d, %s of %s after %v: %d spans, want %d", i, c.name, c.program, c.after, len(got.Spans), c.want)
		}
	}
}
