// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/crau-otel/crau-otel/tracer/event"
)

const (
	us  = uint64(1000)
	ms  = 1000 * us
	sec = 1000 * ms

	none = event.NoParent
)

// feed gives a mapper events a microsecond apart and keeps what comes out.
type feed struct {
	t        testing.TB
	m        *Mapper
	now      uint64
	pid, tid uint32
	events   int
	trees    []Tree
}

func newFeed(t testing.TB, cfg Config) *feed {
	t.Helper()
	f := &feed{t: t, now: sec, pid: 10, tid: 11}
	cfg.Wall = func(boot uint64) time.Time { return time.Unix(0, int64(boot)) }
	cfg.Sink = func(tree Tree) { f.trees = append(f.trees, tree.Clone()) }
	m, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	f.m = m
	f.m.Handle(&event.Event{
		Kind: event.ProcessStart, PID: f.pid, TID: f.tid,
		Process: event.Process{Executable: "prog", Comm: "prog", StartTime: 1},
	})
	return f
}

func w(key string, value uint64) event.Pair {
	return event.Pair{Key: []byte(key), Type: event.Word, Word: value}
}

func s(key, value string) event.Pair {
	return event.Pair{Key: []byte(key), Type: event.String, Value: []byte(value)}
}

func name(value string) event.Pair { return s("name", value) }

func (f *feed) event(ev event.Event) {
	f.now += us
	ev.Time, ev.PID, ev.TID = f.now, f.pid, f.tid
	if ev.Kind != event.ProcessStart && ev.Kind != event.ProcessExit {
		f.events++
	}
	f.m.Handle(&ev)
}

// open is new_context, with data if there are pairs.
func (f *feed) open(ctx, parent uint64, pairs ...event.Pair) {
	f.event(event.Event{Kind: event.NewContext, Context: ctx, Parent: parent, Pairs: pairs})
}

// data is one event of data with all pairs.
func (f *feed) data(ctx uint64, pairs ...event.Pair) {
	f.event(event.Event{Kind: event.Data, Context: ctx, Pairs: pairs})
}

// begin is a context as GnuTLS opens it: new_context, then data.
func (f *feed) begin(ctx, parent uint64, pairs ...event.Pair) {
	f.open(ctx, parent)
	f.data(ctx, pairs...)
}

func (f *feed) enter(session uint64) {
	f.event(event.Event{Kind: event.SessionEnter, Context: session})
}

func (f *feed) leave(session uint64) {
	f.event(event.Event{Kind: event.SessionLeave, Context: session})
}

// finish stops the mapper, checks that every event was given away, and returns the trees as text, in order.
func (f *feed) finish() []string {
	f.t.Helper()
	f.m.Flush()
	events, spans := 0, 0
	var texts []string
	for _, tree := range f.trees {
		events += tree.Events
		spans += len(tree.Spans)
		texts = append(texts, treeText(f.t, tree.Spans))
	}
	st := f.m.Stats()
	if uint64(f.events) != st.Events || uint64(events)+st.Sessions+st.Hidden != st.Events || uint64(spans) != st.Spans {
		f.t.Errorf("%d events fed, %d in %d spans came out: %+v", f.events, events, spans, st)
	}
	if st.OpenContexts != 0 || st.OpenTrees != 0 {
		f.t.Errorf("something is still open: %+v", st)
	}
	return texts
}

// treeText draws spans, parents before their children, with their attributes in order. What differs in every run, and
// how a child ended, is left out.
func treeText(t testing.TB, spans []Span) string {
	t.Helper()
	depth := make(map[string]int)
	var b strings.Builder
	missing := make(map[string]bool) // parents that were given to the sink earlier or will be later
	for i := range spans {
		sp := &spans[i]
		d := 0
		if sp.ParentID.IsValid() {
			parent, ok := depth[sp.ParentID.String()]
			missing[sp.ParentID.String()] = !ok
			d = parent + 1
		}
		if missing[sp.SpanID.String()] {
			t.Errorf("span %s comes after its children", sp.Name)
		}
		depth[sp.SpanID.String()] = d
		fmt.Fprintf(&b, "%s%s", strings.Repeat("  ", d), sp.Name)
		if k := sp.Kind.String(); k != "internal" {
			b.WriteString(" [" + k + "]")
		}
		for _, a := range sp.Attributes() {
			if a.Key == attrContextID || a.Key == attrContextEnd || a.Key == attrUserClass {
				continue
			}
			fmt.Fprintf(&b, " %s=%s", a.Key, a.Value.String())
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func wantTrees(t *testing.T, got []string, want ...string) {
	t.Helper()
	for i := range want {
		want[i] = strings.TrimPrefix(want[i], "\n")
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %d trees:\n%s\nwant %d:\n%s", len(got), strings.Join(got, "\n"), len(want), strings.Join(want, "\n"))
	}
}
