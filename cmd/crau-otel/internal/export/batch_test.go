// SPDX-License-Identifier: Apache-2.0

package export_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/export"
	"github.com/crau-otel/crau-otel/mapping"
)

// The memory of waiting spans is limited by MaxBytes, even if there are few spans. The last tree may exceed the limit.
func TestSpansWaitOnlyWhileThereIsMemory(t *testing.T) {
	f := newFake()
	f.spanBytes = 400
	release := f.blocking()
	q := newQueue(t, export.Config{Exporter: f, MaxBytes: 1000, MaxBatch: 1, Delay: time.Millisecond})
	q.Put(wide(1))
	f.called(t) // the exporter is sending the tree, whose bytes still count
	for range 5 {
		q.Put(wide(1))
	}
	if got := q.Stats(); got != full(export.Stats{Waiting: spans(2)}, 3) {
		t.Errorf("stats are %+v", got)
	}
	release()
	for deadline := time.Now().Add(10 * time.Second); q.Stats().Exported != spans(3) && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	q.Put(wide(1)) // there is room again
	if got := closed(t, q); got != full(export.Stats{Exported: spans(4)}, 3) {
		t.Errorf("stats are %+v", got)
	}
}

// If a tree cannot be encoded, only this tree is lost.
func TestTreeThatCannotBeEncodedIsLostAlone(t *testing.T) {
	f := newFake()
	f.encode = func(t mapping.Tree) error {
		if t.Spans[0].Name == "bad" {
			return errors.New("no UTF-8")
		}
		return nil
	}
	q := newQueue(t, export.Config{Exporter: f})
	q.Put(tree(1, "fine"))
	q.Put(tree(2, "bad", "worse"))
	q.Put(tree(3, "fine too"))
	if got := closed(t, q); got != (export.Stats{Exported: spans(2), Failed: spans(2)}) {
		t.Errorf("stats are %+v", got)
	}
	if got := f.names(); !slices.Equal(got, []string{"fine", "fine too"}) {
		t.Errorf("exported %v", got)
	}
}

// A batch is released exactly once, when the exporter no longer needs it, whether it was accepted, refused, divided or
// dropped.
func TestABatchIsReleasedOnce(t *testing.T) {
	f := newFake()
	f.spanBytes = 32 << 10
	f.on = func(_ context.Context, batches []export.Batch) error {
		f.mu.Lock()
		defer f.mu.Unlock()
		for _, b := range batches {
			if f.released[b.(*fakeBatch).whole] != 0 {
				t.Errorf("the exporter is given %s, which was released", b.(*fakeBatch).names)
			}
		}
		switch names := namesOf(batches); {
		case len(names) > 3:
			return refused(export.Split, "grpc: received message larger than max")
		case names[0] == "refused":
			return refused(export.GiveUp, "no such tenant")
		}
		return nil
	}
	q := newQueue(t, export.Config{Exporter: f, MaxBatch: 10, Delay: time.Hour})
	for i, names := range [][]string{{"a", "b"}, {"c", "d", "e", "f", "g"}, {"refused"}, {"with it"}} {
		q.Put(tree(byte(i), names...))
	}
	if got := closed(t, q); got != (export.Stats{Exported: spans(7), Failed: spans(2)}) {
		t.Errorf("stats are %+v", got)
	}
	for b, n := range f.released {
		if n != 1 {
			t.Errorf("%s was released %d times, want once", b.names, n)
		}
	}
	if len(f.released) != 4 {
		t.Errorf("%d batches, want 4", len(f.released))
	}
}
