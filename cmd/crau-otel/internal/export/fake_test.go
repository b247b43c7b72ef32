// SPDX-License-Identifier: Apache-2.0

package export_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/goleak"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/export"
	"github.com/crau-otel/crau-otel/mapping"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// fake is an exporter that keeps what it takes. on, if any, decides of each call, which is told in calls first.
type fake struct {
	on    func(ctx context.Context, spans []sdktrace.ReadOnlySpan) error
	calls chan int // spans of each call, as it begins
	err   error    // of Shutdown

	mu        sync.Mutex
	taken     [][]string // names of the spans, by call
	shutdowns int
}

func newFake() *fake { return &fake{calls: make(chan int, 10000)} }

// ExportSpans implements [sdktrace.SpanExporter].
func (f *fake) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	f.calls <- len(spans)
	if f.on != nil {
		if err := f.on(ctx, spans); err != nil {
			return err
		}
	}
	var names []string
	for _, s := range spans {
		names = append(names, s.Name())
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.taken = append(f.taken, names)
	return nil
}

// Shutdown implements [sdktrace.SpanExporter].
func (f *fake) Shutdown(context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.shutdowns++
	return f.err
}

// names returns the names of all spans taken, in order.
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

// blocking makes calls wait until release is called; they do not heed their context.
func (f *fake) blocking() (release func()) {
	released := make(chan struct{})
	f.on = func(context.Context, []sdktrace.ReadOnlySpan) error {
		<-released
		return nil
	}
	return sync.OnceFunc(func() { close(released) })
}

// tree returns a tree of spans with these names, made of ten events each.
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

// closed closes the queue, which has to succeed, and returns the counters.
func closed(t *testing.T, q *export.Queue) export.Stats {
	t.Helper()
	if err := q.Close(t.Context()); err != nil {
		t.Errorf("Close: %v", err)
	}
	return q.Stats()
}

// spans counts that many spans of wide trees.
func spans(n uint64) export.Count { return export.Count{Spans: n, Events: 10 * n} }
