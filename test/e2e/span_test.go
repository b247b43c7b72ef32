// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// span is a span as a user gets it, from a collector or from the console.
type span struct {
	Trace      string         `json:"trace_id"`
	ID         string         `json:"span_id"`
	Parent     string         `json:"parent_span_id"`
	Name       string         `json:"name"`
	Kind       string         `json:"kind"`
	Start      time.Time      `json:"start"`
	End        time.Time      `json:"end"`
	Attributes map[string]any `json:"attributes"`
	Resource   map[string]any `json:"resource"`

	children []*span
}

// consoleSpans reads the console exporter's JSON.
func consoleSpans(t *testing.T, out []byte) []*span {
	t.Helper()
	var spans []*span
	for sc := bufio.NewScanner(bytes.NewReader(out)); sc.Scan(); {
		s := &span{}
		dec := json.NewDecoder(bytes.NewReader(sc.Bytes()))
		dec.UseNumber()
		if err := dec.Decode(s); err != nil {
			t.Fatalf("console printed what is no span: %v\n%s", err, sc.Text())
		}
		spans = append(spans, s)
	}
	return spans
}

// trees links the spans and returns the roots by start time. A child whose parent is missing fails the test.
func trees(t *testing.T, spans []*span) []*span {
	t.Helper()
	byID := make(map[string]*span)
	for _, s := range spans {
		if byID[s.Trace+s.ID] != nil {
			t.Errorf("span id %s came twice", s.ID)
		}
		byID[s.Trace+s.ID] = s
	}
	var roots []*span
	for _, s := range spans {
		if s.Parent == "" {
			roots = append(roots, s)
			continue
		}
		p := byID[s.Trace+s.Parent]
		if p == nil {
			t.Errorf("span %s has no parent", s.Name)
			continue
		}
		if s.Start.Before(p.Start) || s.End.After(p.End) {
			t.Errorf("span %s (%s to %s) is not inside its parent %s (%s to %s)", s.Name, s.Start, s.End, p.Name,
				p.Start, p.End)
		}
		p.children = append(p.children, s)
	}
	byStart := func(a, b *span) int { return a.Start.Compare(b.Start) }
	for _, s := range spans {
		slices.SortStableFunc(s.children, byStart)
	}
	slices.SortStableFunc(roots, byStart)
	return roots
}

// ofTheRun reports whether an attribute says how the program ran, not what it did.
func ofTheRun(key string) bool {
	return key == "crypto.context.id" || key == "crypto.context.end" || key == "crypto.process.user_class" ||
		strings.HasPrefix(key, "crypto.library.")
}

// text draws a tree: a line a span, indented, with its attributes by key. What differs in every run is left out.
func (s *span) text() string {
	var b strings.Builder
	s.write(&b, "")
	return b.String()
}

func (s *span) write(b *strings.Builder, indent string) {
	b.WriteString(indent + s.Name)
	if s.Kind != "internal" {
		b.WriteString(" [" + s.Kind + "]")
	}
	keys := make([]string, 0, len(s.Attributes))
	for k := range s.Attributes {
		if !ofTheRun(k) {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	for _, k := range keys {
		fmt.Fprintf(b, " %s=%v", k, s.Attributes[k])
	}
	b.WriteByte('\n')
	for _, c := range s.children {
		c.write(b, indent+"  ")
	}
}

// wantText compares a tree with its expected drawing, which may start with a line break.
func wantText(t *testing.T, s *span, want string) {
	t.Helper()
	want = strings.TrimPrefix(want, "\n")
	if got := s.text(); got != want {
		t.Errorf("tree differs\ngot:\n%swant:\n%s", got, want)
	}
}
