// SPDX-License-Identifier: Apache-2.0

package export_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/export"
)

// sized is a span that tells how much memory it takes.
type sized struct {
	sdktrace.ReadOnlySpan
	bytes int
}

func (s sized) Size() int { return s.bytes }

// However few they are, spans wait only as long as there is memory for them; what is over it by a tree still fits.
func TestQueueBytes(t *testing.T) {
	f := newFake()
	release := f.blocking()
	q := newQueue(t, export.Config{Exporter: f, MaxBytes: 1000, MaxBatch: 1, Delay: time.Millisecond, Hold: func(
		spans []sdktrace.ReadOnlySpan,
	) ([]sdktrace.ReadOnlySpan, error) {
		return []sdktrace.ReadOnlySpan{sized{spans[0], 400}}, nil
	}})
	q.Put(wide(1))
	f.called(t) // it is with the exporter, and counts
	for range 5 {
		q.Put(wide(1))
	}
	if got := q.Stats(); got != (export.Stats{Waiting: spans(2), QueueFull: spans(3)}) {
		t.Errorf("stats are %+v", got)
	}
	release()
	for deadline := time.Now().Add(10 * time.Second); q.Stats().Exported != spans(3) && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	q.Put(wide(1)) // there is room again
	if got := closed(t, q); got != (export.Stats{Exported: spans(4), QueueFull: spans(3)}) {
		t.Errorf("stats are %+v", got)
	}
}

// A tree that cannot be held is lost alone.
func TestHoldFails(t *testing.T) {
	f := newFake()
	q := newQueue(t, export.Config{Exporter: f, Hold: func(spans []sdktrace.ReadOnlySpan) ([]sdktrace.ReadOnlySpan, error) {
		if spans[0].Name() == "bad" {
			return nil, errors.New("no UTF-8")
		}
		return spans, nil
	}})
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

// Held spans are given back once, when the exporter is through with them: taken, refused, or handed over apart.
func TestRelease(t *testing.T) {
	f := newFake()
	left := make(map[string]int) // how often each span may still be released
	f.on = func(_ context.Context, spans []sdktrace.ReadOnlySpan) error {
		for _, s := range spans {
			if left[s.Name()] != 1 {
				t.Errorf("the exporter is given %s, which was released", s.Name())
			}
		}
		switch {
		case len(spans) > 3:
			return status.Error(codes.ResourceExhausted, "grpc: received message larger than max")
		case spans[0].Name() == "refused":
			return status.Error(codes.InvalidArgument, "no such tenant")
		}
		return nil
	}
	q := newQueue(t, export.Config{
		Exporter: f, MaxBatch: 10, Delay: time.Hour,
		Hold: func(spans []sdktrace.ReadOnlySpan) ([]sdktrace.ReadOnlySpan, error) { return slices.Clone(spans), nil },
		Release: func(spans []sdktrace.ReadOnlySpan) {
			for _, s := range spans {
				left[s.Name()]--
			}
		},
	})
	trees := [][]string{{"a", "b"}, {"c", "d", "e", "f", "g"}, {"refused"}, {"with it"}}
	for i, names := range trees {
		for _, name := range names {
			left[name] = 1
		}
		q.Put(tree(byte(i), names...))
	}
	if got := closed(t, q); got != (export.Stats{Exported: spans(7), Failed: spans(2)}) {
		t.Errorf("stats are %+v", got)
	}
	for name, n := range left {
		if n != 0 {
			t.Errorf("%s was released %d times, want once", name, 1-n)
		}
	}
}
