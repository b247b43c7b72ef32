// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"testing"
	"time"

	"github.com/crau-otel/crau-otel/tracer/event"
)

// If the wall clock is set forwards or backwards while a tree is open, spans keep their durations, and children stay
// within their parents.
func TestClockStepsKeepOrderAndDurations(t *testing.T) {
	for _, step := range []time.Duration{time.Hour, -time.Hour, time.Millisecond, -time.Millisecond, -50 * 365 * 24 * time.Hour} {
		var offset time.Duration
		var trees []Tree
		m, err := New(Config{
			Wall: func(boot uint64) time.Time { return time.Unix(1790000000, int64(boot)).Add(offset) },
			Sink: func(tree Tree) { trees = append(trees, tree.Clone()) },
		})
		if err != nil {
			t.Fatal(err)
		}
		const ms = uint64(time.Millisecond)
		open := func(now, ctx, parent uint64, name string) {
			m.Handle(&event.Event{
				Kind: event.NewContext, Time: now * ms, PID: 1, TID: 1, Context: ctx, Parent: parent,
				Pairs: []event.Pair{{Key: []byte("name"), Type: event.String, Value: []byte(name)}},
			})
		}
		open(10, 1, event.NoParent, "tls::handshake")
		open(20, 2, 1, "tls::key_exchange")
		offset = step // the clock is set between two events of the tree
		open(30, 3, 2, "pk::derive")
		open(40, 4, 1, "tls::verify")
		m.Flush()
		if len(trees) != 1 || len(trees[0].Spans) != 4 {
			t.Fatalf("trees are %+v", trees)
		}
		root := trees[0].Spans[0]
		if got := root.End.Sub(root.Start); got != 30*time.Millisecond {
			t.Errorf("step %s: the root lasts %s, want 30ms", step, got)
		}
		for i := range trees[0].Spans {
			span := &trees[0].Spans[i]
			if span.End.Before(span.Start) || span.Start.Before(root.Start) || span.End.After(root.End) {
				t.Errorf("step %s: %s is from %s to %s, the root from %s to %s", step, span.Name, span.Start, span.End, root.Start, root.End)
			}
			if want := time.Duration(10*i) * time.Millisecond; span.Start.Sub(root.Start) != want {
				t.Errorf("step %s: %s begins %s after the root, want %s", step, span.Name, span.Start.Sub(root.Start), want)
			}
		}
	}
}
