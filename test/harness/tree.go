// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// Unique returns the spans without those that were delivered more than once. OTLP sends spans again if a receiver has
// accepted them but was closed before it could answer.
func Unique(spans []*Span) (once []*Span) {
	seen := make(map[string]bool, len(spans))
	for _, s := range spans {
		if id := s.Trace + s.ID; !seen[id] {
			seen[id] = true
			once = append(once, s)
		}
	}
	return once
}

// Trees sets the children of the spans and returns the roots. Roots and children are sorted by start time. Trees fails
// the test if a span's parent is missing, if a span is not within its parent's time, if an id occurs twice, or if an
// attribute key occurs twice.
func Trees(t testing.TB, spans []*Span) []*Span {
	t.Helper()
	byID := make(map[string]*Span)
	for _, s := range spans {
		if byID[s.Trace+s.ID] != nil {
			t.Errorf("span id %s came twice", s.ID)
		}
		byID[s.Trace+s.ID] = s
		s.Children = nil
		if len(s.Repeated) > 0 {
			t.Errorf("span %s has keys more than once: %q", s.Name, s.Repeated)
		}
	}
	var roots []*Span
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
		p.Children = append(p.Children, s)
	}
	byStart := func(a, b *Span) int { return a.Start.Compare(b.Start) }
	for _, s := range spans {
		slices.SortStableFunc(s.Children, byStart)
	}
	slices.SortStableFunc(roots, byStart)
	return roots
}

// DescribesRun reports whether an attribute depends on the process, user or files of a run. All other attributes only
// depend on what the program reports.
func DescribesRun(key string) bool {
	return key == "crypto.context.id" || key == "crypto.context.end" || key == "crypto.source" ||
		key == "crypto.owner.class" || strings.HasPrefix(key, "crypto.process.") || strings.HasPrefix(key, "crypto.library.")
}

// Text formats a tree as one indented line per span, with its attributes sorted by key. Attributes for which
// DescribesRun returns true are omitted.
func (s *Span) Text() string {
	var b strings.Builder
	s.write(&b, "")
	return b.String()
}

func (s *Span) write(b *strings.Builder, indent string) {
	b.WriteString(indent + s.Name)
	if s.Kind != "internal" {
		b.WriteString(" [" + s.Kind + "]")
	}
	keys := make([]string, 0, len(s.Attributes))
	for k := range s.Attributes {
		if !DescribesRun(k) {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	for _, k := range keys {
		fmt.Fprintf(b, " %s=%v", k, s.Attributes[k])
	}
	b.WriteByte('\n')
	for _, c := range s.Children {
		c.write(b, indent+"  ")
	}
}
