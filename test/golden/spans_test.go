// SPDX-License-Identifier: Apache-2.0

package golden

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"

	"github.com/crau-otel/crau-otel/mapping"
	"github.com/crau-otel/crau-otel/tracer/event"
)

var update = flag.Bool("update", false, "write what came out as the new expectation")

// output contains the trees in a form that is the same in every run: ids are replaced by consecutive numbers, and times
// are relative to the first event.
type output struct {
	Trees  []outTree `json:"trees"`
	Counts counts    `json:"counts"`
}

type counts struct {
	Events   uint64 `json:"events"`
	Sessions uint64 `json:"session_events"`
	Spans    uint64 `json:"spans"`
	Evicted  uint64 `json:"evicted_trees"`
}

type outTree struct {
	Events     int            `json:"events"`
	Resource   map[string]any `json:"resource"`
	Operations []string       `json:"operations"` // executable, operation, algorithm, role and status
	Spans      []outSpan      `json:"spans"`
}

type outSpan struct {
	ID         int            `json:"id"`
	Parent     int            `json:"parent,omitempty"`
	Name       string         `json:"name"`
	Kind       string         `json:"kind"`
	Start      int64          `json:"start_ns"`
	End        int64          `json:"end_ns"`
	Status     string         `json:"status,omitempty"`
	Attributes map[string]any `json:"attributes"`
}

// numbers assigns consecutive numbers to keys, from 1, in order of first use.
type numbers map[string]int

func (n numbers) of(key string) int {
	if n[key] == 0 {
		n[key] = len(n) + 1
	}
	return n[key]
}

// replay feeds events to a mapper, as crau-otel does, and returns the resulting trees and counters.
func replay(t *testing.T, events []event.Event) output {
	t.Helper()
	var trees []mapping.Tree
	m, err := mapping.New(mapping.Config{
		Wall: func(boot uint64) time.Time { return time.Unix(0, int64(boot)) },
		Sink: func(tree mapping.Tree) { trees = append(trees, tree.Clone()) },
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := range events {
		m.Tick(events[i].Time)
		m.Handle(&events[i])
	}
	m.Flush()
	out := stable(t, trees, time.Unix(0, int64(events[0].Time)))
	st := m.Stats()
	out.Counts = counts{Events: st.Events, Sessions: st.Sessions, Spans: st.Spans, Evicted: st.Evicted}
	check(t, out, events)
	return out
}

// stable converts trees to an output, sorted by start time, because trees that end at the same time are emitted in
// random order.
func stable(t *testing.T, trees []mapping.Tree, start time.Time) output {
	t.Helper()
	slices.SortStableFunc(trees, func(a, b mapping.Tree) int { return a.Spans[0].Start.Compare(b.Spans[0].Start) })
	var out output
	spanIDs, contextIDs, traces := make(numbers), make(numbers), make(numbers)
	for i, tree := range trees {
		o := outTree{Events: tree.Events, Resource: object(tree.Resource.Attributes())}
		for _, op := range tree.Operations {
			o.Operations = append(o.Operations, strings.Join([]string{
				op.Executable, op.Name, op.Algorithm, op.Role, op.Status.String(),
			}, " | "))
		}
		for j := range tree.Spans {
			sp := &tree.Spans[j]
			if traces.of(sp.TraceID.String()) != i+1 {
				t.Errorf("span %s of tree %d has trace id %s", sp.Name, i+1, sp.TraceID)
			}
			s := outSpan{
				ID: spanIDs.of(sp.SpanID.String()), Name: sp.Name, Kind: sp.Kind.String(),
				Start: sp.Start.Sub(start).Nanoseconds(), End: sp.End.Sub(start).Nanoseconds(),
				Attributes: object(sp.Attributes()),
			}
			if parent := sp.ParentID; parent.IsValid() {
				s.Parent = spanIDs.of(parent.String())
			}
			if st := sp.Status; st.Description != "" {
				s.Status = st.Code.String() + ": " + st.Description
			}
			if id, ok := s.Attributes["crypto.context.id"].(string); !ok || len(id) != 32 {
				t.Errorf("span %s has the context id %v, want 32 hex digits", sp.Name, id)
			} else {
				s.Attributes["crypto.context.id"] = fmt.Sprintf("context %d", contextIDs.of(id))
			}
			o.Spans = append(o.Spans, s)
		}
		out.Trees = append(out.Trees, o)
	}
	return out
}

// check checks the invariants of trees: span ids are unique, parents precede their children and enclose them in time,
// and every hit is accounted for.
func check(t *testing.T, out output, events []event.Event) {
	t.Helper()
	hits, exported := uint64(0), uint64(0)
	for _, ev := range events {
		if ev.Kind != event.ProcessStart && ev.Kind != event.ProcessExit {
			hits++
		}
	}
	for _, tree := range out.Trees {
		exported += uint64(tree.Events)
		spans := make(map[int]outSpan)
		for i, s := range tree.Spans {
			if _, again := spans[s.ID]; again {
				t.Errorf("two spans have id %d", s.ID)
			}
			spans[s.ID] = s
			parent, ok := spans[s.Parent]
			switch {
			case (i == 0) != (s.Parent == 0):
				t.Errorf("span %d is number %d of its tree and has parent %d", s.ID, i, s.Parent)
			case i > 0 && !ok:
				t.Errorf("span %d comes before its parent %d, or that is missing", s.ID, s.Parent)
			case i > 0 && (s.Start < parent.Start || s.End > parent.End), s.End < s.Start:
				t.Errorf("span %d is from %d to %d, its parent from %d to %d", s.ID, s.Start, s.End, parent.Start, parent.End)
			}
		}
	}
	if out.Counts.Events != hits || exported+out.Counts.Sessions != hits {
		t.Errorf("%d hits, %d of them taken, %d in trees and %d of sessions", hits, out.Counts.Events, exported, out.Counts.Sessions)
	}
}

func object(attributes []attribute.KeyValue) map[string]any {
	o := make(map[string]any, len(attributes))
	for _, kv := range attributes {
		o[string(kv.Key)] = kv.Value.AsInterface()
	}
	return o
}

// compare compares the output with the expected output in testdata/NAME.json.
func compare(t *testing.T, name string, out output) {
	t.Helper()
	var got bytes.Buffer
	enc := json.NewEncoder(&got)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	if err := enc.Encode(out); err != nil {
		t.Fatal(err)
	}
	path := "testdata/" + name + ".json"
	if *update {
		if err := os.WriteFile(path, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; -update writes it", err)
	}
	if bytes.Equal(got.Bytes(), want) {
		return
	}
	gotLines, wantLines := strings.Split(got.String(), "\n"), strings.Split(string(want), "\n")
	first := 0
	for first < min(len(gotLines), len(wantLines)) && gotLines[first] == wantLines[first] {
		first++
	}
	around := func(lines []string) string {
		return strings.Join(lines[min(max(0, first-10), len(lines)):min(first+10, len(lines))], "\n")
	}
	t.Errorf("%s differs from line %d on\ngot:\n%s\nwant:\n%s", path, first+1, around(gotLines), around(wantLines))
}

// shape formats a tree without ids, times and context attributes, which depend on how the program reports parents.
func (o outTree) shape() string {
	depth := make(map[int]int)
	var b strings.Builder
	for _, s := range o.Spans {
		if s.Parent != 0 {
			depth[s.ID] = depth[s.Parent] + 1
		}
		fmt.Fprintf(&b, "%s%s [%s]", strings.Repeat("  ", depth[s.ID]), s.Name, s.Kind)
		keys := make([]string, 0, len(s.Attributes))
		for k := range s.Attributes {
			if k != "crypto.context.id" && k != "crypto.context.end" {
				keys = append(keys, k)
			}
		}
		slices.Sort(keys)
		for _, k := range keys {
			fmt.Fprintf(&b, " %s=%v", k, s.Attributes[k])
		}
		b.WriteByte('\n')
	}
	return b.String()
}
