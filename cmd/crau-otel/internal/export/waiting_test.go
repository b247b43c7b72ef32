// SPDX-License-Identifier: Apache-2.0

package export_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdkresource "go.opentelemetry.io/otel/sdk/resource"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/export"
	"github.com/crau-otel/crau-otel/mapping"
)

// program returns a tree of n spans of the program called name. The spans have the same name.
func program(name string, n int) mapping.Tree {
	t := tree(0, slices.Repeat([]string{name}, n)...)
	t.Resource = sdkresource.NewSchemaless(attribute.String("service.name", name))
	return t
}

// count returns how many spans of a program the exporter accepted.
func (f *fake) count(name string) (n int) {
	for _, got := range f.names() {
		if got == name {
			n++
		}
	}
	return n
}

// A program that makes more trees than the queue has room for loses its newest trees, and other programs lose none.
func TestAFloodCostsOthersNothing(t *testing.T) {
	for _, limit := range []struct {
		name string
		cfg  export.Config
	}{
		{"spans", export.Config{MaxQueue: 1000}},
		{"bytes", export.Config{MaxBytes: 1000 * 600}},
	} {
		t.Run(limit.name, func(t *testing.T) {
			f := newFake()
			release := f.blocking()
			defer release()
			cfg := limit.cfg
			cfg.Exporter, cfg.MaxBatch, cfg.Delay = f, 16, time.Millisecond
			q := newQueue(t, cfg)
			q.Put(program("flood", 16))
			f.called(t)
			victims := 0
			for i := range 5000 {
				q.Put(program("flood", 16))
				if i%50 == 0 {
					q.Put(program("victim", 3))
					victims += 3
				}
			}
			release()
			got := closed(t, q)
			if n := f.count("victim"); n != victims {
				t.Errorf("%d spans of the victim arrived, want %d", n, victims)
			}
			if n := f.count("flood"); n < 500 || n > 1000 {
				t.Errorf("%d spans of the flood arrived, want what fits beside", n)
			}
			if sum := got.Exported.Spans + got.QueueFull.Spans; sum != uint64(5001*16+victims) || got.Failed.Spans != 0 {
				t.Errorf("stats are %+v, %d spans in all", got, sum)
			}
		})
	}
}

// If many programs flood the queue together, they get equal shares, and a program that uses less than its share loses
// nothing.
func TestManyFloodsShareTheRest(t *testing.T) {
	f := newFake()
	release := f.blocking()
	defer release()
	q := newQueue(t, export.Config{Exporter: f, MaxQueue: 1200, MaxBatch: 8, Delay: time.Millisecond})
	q.Put(program("first", 1))
	f.called(t)
	for i := range 2000 {
		for flood := range 10 {
			q.Put(program(fmt.Sprint("flood", flood), 4))
		}
		if i < 100 {
			q.Put(program("victim", 1))
		}
	}
	release()
	closed(t, q)
	if n := f.count("victim"); n != 100 {
		t.Errorf("%d spans of the victim arrived, want 100", n)
	}
	for flood := range 10 {
		if n := f.count(fmt.Sprint("flood", flood)); n < 90 || n > 130 {
			t.Errorf("%d spans of flood %d arrived, want about 110", n, flood)
		}
	}
}

// A user who invents many program names gets no more of the queue than another user: all these programs share one
// owner's part.
func TestMadeUpProgramsShareOneOwnersPart(t *testing.T) {
	f := newFake()
	release := f.blocking()
	defer release()
	q := newQueue(t, export.Config{Exporter: f, MaxQueue: 1000, MaxBatch: 8, Delay: time.Millisecond})
	of := func(owner, name string, n int) mapping.Tree {
		tree := program(name, n)
		tree.Owner = mapping.Owner{ID: owner}
		return tree
	}
	q.Put(of("first", "first", 1))
	f.called(t)
	for i := range 2000 {
		q.Put(of("uid 1000", fmt.Sprint("made up ", i), 4))
		q.Put(of("uid 1000", fmt.Sprint("made up ", i), 4))
		if i%5 == 0 {
			q.Put(of("uid 1001", "victim", 1))
		}
	}
	release()
	closed(t, q)
	if n := f.count("victim"); n != 400 {
		t.Errorf("%d spans of the victim arrived, want 400", n)
	}
}

// Many waiting trees of one program do not delay the trees of other programs, because programs take turns.
func TestOwnersTakeTurns(t *testing.T) {
	f := newFake()
	release := f.blocking()
	q := newQueue(t, export.Config{Exporter: f, MaxBatch: 100, Delay: time.Millisecond})
	q.Put(program("first", 1))
	f.called(t)
	for range 1000 {
		q.Put(program("flood", 16))
	}
	q.Put(program("victim", 1))
	release()
	closed(t, q)
	if at := slices.Index(f.names(), "victim"); at < 0 || at > 200 {
		t.Errorf("the victim's span was sent after %d others, want at most 200", at)
	}
}

// A tree that is larger than the whole queue does not evict other trees.
func TestTooLargeATreeEvictsNothing(t *testing.T) {
	f := newFake()
	release := f.blocking()
	defer release()
	q := newQueue(t, export.Config{Exporter: f, MaxQueue: 100, MaxBatch: 1, Delay: time.Millisecond})
	q.Put(program("first", 1))
	f.called(t)
	for range 100 {
		q.Put(program("one", 1))
	}
	q.Put(program("other", 101))
	if got := q.Stats(); got != full(export.Stats{Waiting: spans(100)}, 101) {
		t.Errorf("stats are %+v", got)
	}
	release()
	closed(t, q)
}

// With random trees in random order, each tree has one outcome, and each batch is released once.
func TestSharesAtRandom(t *testing.T) {
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 0))
		f := newFake()
		f.calls = make(chan int, 1<<20)
		f.on = func(context.Context, []export.Batch) error {
			time.Sleep(100 * time.Microsecond)
			return nil
		}
		q := newQueue(t, export.Config{
			Exporter: f, MaxQueue: 50 + random.IntN(100), MaxBytes: 600 * (50 + random.IntN(100)), MaxBatch: 1 + random.IntN(30),
			Delay: time.Microsecond,
		})
		var put uint64
		for range 3000 {
			n := 1 + random.IntN(20)
			q.Put(program(strings.Repeat("x", random.IntN(6)), n))
			put += uint64(n)
		}
		got := closed(t, q)
		if got.Exported.Spans+got.QueueFull.Spans != put || got.Exported.Events+got.QueueFull.Events != 10*put || got.Waiting.Spans != 0 {
			t.Errorf("seed %d: %d spans put, stats are %+v", seed, put, got)
		}
		if n := uint64(len(f.names())); n != got.Exported.Spans || got.QueueFull.Spans == 0 {
			t.Errorf("seed %d: %d spans arrived, stats are %+v", seed, n, got)
		}
		for _, n := range f.released {
			if n != 1 {
				t.Fatalf("seed %d: a batch was released %d times", seed, n)
			}
		}
	}
}
