// SPDX-License-Identifier: Apache-2.0

package export_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"
	"go.uber.org/goleak"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/export"
	"github.com/crau-otel/crau-otel/mapping"
	"github.com/crau-otel/crau-otel/mapping/contexts"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// fake is an exporter that records the spans that it accepts. Each call of Export first sends its number of spans to
// the channel calls; then the function on, if set, decides about the outcome.
type fake struct {
	on        func(ctx context.Context, batches []export.Batch) error
	encode    func(t mapping.Tree) error // returns the error of Encode for a tree; nil if all succeed
	calls     chan int                   // gets the number of spans of each call when the call begins
	err       error                      // result of Shutdown
	spanBytes int                        // bytes of a span

	mu        sync.Mutex
	taken     [][]string // names of the accepted spans, one list for each call
	shutdowns int
	released  map[*fakeBatch]int
}

func newFake() *fake {
	return &fake{calls: make(chan int, 10000), spanBytes: 600, released: make(map[*fakeBatch]int)}
}

// fakeBatch is a batch that consists of the names of its spans.
type fakeBatch struct {
	of    *fake
	whole *fakeBatch // batch that Encode returned: this batch, or the one that this is a part of
	names []string
}

func (b *fakeBatch) Size() (spans, bytes int) { return len(b.names), len(b.names) * b.of.spanBytes }

func (b *fakeBatch) Split(spans, bytes int) (first, rest export.Batch) {
	n := max(1, min(spans, bytes/b.of.spanBytes))
	if n >= len(b.names) {
		return b, nil
	}
	return &fakeBatch{b.of, b.whole, b.names[:n]}, &fakeBatch{b.of, b.whole, b.names[n:]}
}

func (b *fakeBatch) Release() {
	b.of.mu.Lock()
	defer b.of.mu.Unlock()
	b.of.released[b.whole]++
}

// Encode implements [export.Exporter].
func (f *fake) Encode(t mapping.Tree) (export.Batch, error) {
	if f.encode != nil {
		if err := f.encode(t); err != nil {
			return nil, err
		}
	}
	b := &fakeBatch{of: f}
	b.whole = b
	for i := range t.Spans {
		b.names = append(b.names, t.Spans[i].Name)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.released[b] = 0
	return b, nil
}

// namesOf returns the names of the spans in batches.
func namesOf(batches []export.Batch) (names []string) {
	for _, b := range batches {
		names = append(names, b.(*fakeBatch).names...)
	}
	return names
}

// Export implements [export.Exporter].
func (f *fake) Export(ctx context.Context, batches []export.Batch) error {
	names := namesOf(batches)
	f.calls <- len(names)
	var err error
	if f.on != nil {
		err = f.on(ctx, batches)
	}
	var partial *export.PartialError
	if err != nil && !errors.As(err, &partial) {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.taken = append(f.taken, names)
	return err
}

// Shutdown implements [export.Exporter].
func (f *fake) Shutdown(context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.shutdowns++
	return f.err
}

// names returns the names of all accepted spans, in order.
func (f *fake) names() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Concat(f.taken...)
}

// called waits for the next call and returns how many spans it has.
func (f *fake) called(t *testing.T) int {
	t.Helper()
	select {
	case n := <-f.calls:
		return n
	case <-time.After(20 * time.Second):
		t.Fatal("the exporter was not called within 20 s")
		return 0
	}
}

// blocking makes calls of Export wait until release is called, even if their contexts end.
func (f *fake) blocking() (release func()) {
	released := make(chan struct{})
	f.on = func(context.Context, []export.Batch) error {
		<-released
		return nil
	}
	return sync.OnceFunc(func() { close(released) })
}

// tree returns a tree of spans with these names, with ten events for each span. id distinguishes trace ids.
func tree(id byte, names ...string) mapping.Tree {
	t := mapping.Tree{Events: 10 * len(names)}
	for i, name := range names {
		t.Spans = append(t.Spans, mapping.Span{
			Name: name, TraceID: trace.TraceID{8: id, 15: 1}, SpanID: trace.SpanID{byte(i), byte(i >> 8), 1},
		})
	}
	return t
}

// wide returns a tree of n spans.
func wide(n int) mapping.Tree {
	return tree(0, slices.Repeat([]string{"span"}, n)...)
}

func newQueue(t *testing.T, cfg export.Config) *export.Queue {
	t.Helper()
	q, err := export.NewQueue(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// closed closes the queue, checks that Close succeeds, and returns the counters.
func closed(t *testing.T, q *export.Queue) export.Stats {
	t.Helper()
	if err := q.Close(t.Context()); err != nil {
		t.Errorf("Close: %v", err)
	}
	return q.Stats()
}

// spans returns the count for n spans of wide trees.
func spans(n uint64) export.Count { return export.Count{Spans: n, Events: 10 * n} }

// full returns the counters s with n spans that were lost because the queue was full, all of owners of class user.
func full(s export.Stats, n uint64) export.Stats {
	s.QueueFull, s.QueueFullOf = spans(n), mapping.ClassCounts{contexts.ClassUser: spans(n).Events}
	return s
}
