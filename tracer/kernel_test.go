// SPDX-License-Identifier: Apache-2.0

package tracer_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/crau-otel/crau-otel/probes"
	"github.com/crau-otel/crau-otel/test/harness"
	"github.com/crau-otel/crau-otel/tracer"
	"github.com/crau-otel/crau-otel/tracer/event"
)

func TestRunReportsTheHitsOfAProgram(t *testing.T) {
	for _, single := range []bool{false, true} {
		t.Run(fmt.Sprintf("single uprobes %v", single), func(t *testing.T) {
			tapped := 0
			tr := newTracer(t, tracer.Config{SingleUprobe: single, Tap: func([]byte) { tapped++ }})
			if tr.Multi() == single {
				t.Fatalf("uprobe_multi is %v", tr.Multi())
			}
			sample := harness.Sample(t, "..")
			attachment, _ := harness.File(t, tr, sample)
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			got := newRecorder()
			done := start(ctx, tr, got)

			var hits uint64
			before := tracer.Now()
			pids := make(map[string]int)
			for name, args := range map[string]string{
				"explicit":      "--count 2 --rate 0",
				"self":          "--count 2 --rate 0 --style self",
				"link":          "--count 2 --rate 0 --style link",
				"client-groups": "--count 1 --rate 0 --role client --group 4587 --offer 4587,29,256,514,65000",
				"array16":       "--mode array16",
				"bytes":         "--mode bytes",
				"cold":          "--mode cold --count 2",
				"wide":          "--mode wide --count 3",
			} {
				pid, n := runSample(t, sample, strings.Fields(args)...)
				pids[name], hits = pid, hits+n
			}
			if err := attachment.Close(); err != nil {
				t.Error(err)
			}
			cancel()
			ended(t, done)
			after := tracer.Now()

			for name, pid := range pids {
				checkProcess(t, name, got.of(pid), before, after)
			}
			st := stats(t, tr)
			if st.Hits != hits || st.Read != hits || st.Sent != hits {
				t.Errorf("%d hits fired, stats are %+v", hits, st)
			}
			if want := len(got.events); tapped != want {
				t.Errorf("the tap saw %d records, the handler %d", tapped, want)
			}
			if last := got.ticks[len(got.ticks)-1]; last < got.events[len(got.events)-1].Time {
				t.Error("no tick after the last event")
			}
		})
	}
}

// checkProcess checks all events of a run of the sample program.
func checkProcess(t *testing.T, name string, events []event.Event, before, after uint64) {
	t.Helper()
	if len(events) < 3 {
		t.Errorf("%s: %d events", name, len(events))
		return
	}
	first, last := events[0], events[len(events)-1]
	want := event.Process{
		StartTime: first.Process.StartTime, CgroupID: first.Process.CgroupID, ExeInode: first.Process.ExeInode,
		ExeDevice: first.Process.ExeDevice, ParentPID: uint32(os.Getpid()), Comm: "sample", Executable: "sample",
	}
	if first.Kind != event.ProcessStart || first.Process != want || first.Process.StartTime < before-1e9 ||
		first.Process.StartTime > first.Time || first.Process.ExeInode == 0 || first.Process.CgroupID == 0 {
		t.Errorf("%s: the first event is %+v, want process %+v", name, first, want)
	}
	if last.Kind != event.ProcessExit {
		t.Errorf("%s: the last event is %+v, want an exit", name, last)
	}
	for i, ev := range events {
		if ev.Time < before || ev.Time > after || i > 0 && ev.Time < events[i-1].Time {
			t.Errorf("%s: event %d of %d is at %d, not in order between %d and %d", name, i, len(events), ev.Time, before, after)
		}
		if ev.TID != ev.PID || ev.Flags&(event.Lost|event.Fault) != 0 || ev.Lost != 0 {
			t.Errorf("%s: event %d is %+v", name, i, ev)
		}
	}
	if got, want := seen(events[1:len(events)-1]), expected(t, name); !slices.Equal(got, want) {
		t.Errorf("%s: got\n%s\nwant\n%s", name, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func stats(t *testing.T, tr *tracer.Tracer) tracer.Stats {
	t.Helper()
	st, err := tr.Stats()
	if err != nil {
		t.Fatal(err)
	}
	if sum := st.Sent + st.RingFull + st.Fault + st.Busy + st.Malformed + st.RateLimited + st.OwnerLimited + st.Hidden; sum != st.Hits {
		t.Errorf("%d hits, but %d in the sum: %+v", st.Hits, sum, st)
	}
	return st
}

// A ring that fills is read before the poll interval is over.
func TestFillingRingWakesTheReader(t *testing.T) {
	tr := newTracer(t, tracer.Config{PollInterval: time.Hour, RingSize: 1 << 20})
	sample := harness.Sample(t, "..")
	harness.File(t, tr, sample)
	got := newRecorder()
	done := start(t.Context(), tr, got)
	got.wait(t, "first tick", func(_ []event.Event, ticks []uint64) bool { return len(ticks) > 0 })

	// An eighth of the ring, plus the 32 records of 80 bytes that a CPU may write before it checks the fill level.
	most := 1<<20/8 + runtime.NumCPU()*32*80
	_, hits := runSample(t, sample, "--mode", "flood", "--count", "4000")
	got.wait(t, "all but an eighth of the ring", func(evs []event.Event, _ []uint64) bool {
		used, _ := tr.RingFill()
		return used <= most && len(evs) > int(hits)/2
	})
	if st := stats(t, tr); st.Sent != hits || st.RingFull != 0 {
		t.Errorf("%d hits: %+v, want all sent", hits, st)
	}
	if err := tr.Close(); err != nil {
		t.Error(err)
	}
	ended(t, done)
}

// When ctx ends, Run handles everything in the ring, even if the poll interval is not over.
func TestRunDrainsTheRing(t *testing.T) {
	tr := newTracer(t, tracer.Config{PollInterval: time.Hour, RingSize: 32 << 20}) // all records fit in an eighth of it
	sample := harness.Sample(t, "..")
	attachment, _ := harness.File(t, tr, sample)
	ctx, cancel := context.WithCancel(context.Background())
	got := newRecorder()
	done := start(ctx, tr, got)
	got.wait(t, "first tick", func(_ []event.Event, ticks []uint64) bool { return len(ticks) > 0 })

	_, hits := runSample(t, sample, "--mode", "flood", "--count", "20000")
	if err := attachment.Close(); err != nil {
		t.Error(err)
	}
	if used, capacity := tr.RingFill(); used < 20000*40 || capacity != 32<<20 {
		t.Errorf("the ring has %d of %d bytes, want all that was fired", used, capacity)
	}
	if st := stats(t, tr); st.Read != 0 || st.Sent != hits {
		t.Errorf("before the end: %+v, want %d sent and none read", st, hits)
	}
	cancel()
	ended(t, done)
	if st := stats(t, tr); st.Read != hits || len(got.events) != int(hits)+2 {
		t.Errorf("%d hits, %d events handled, stats %+v", hits, len(got.events), st)
	}
	if used, _ := tr.RingFill(); used != 0 {
		t.Errorf("%d bytes are left in the ring", used)
	}
}

// While nothing reads the ring, hits whose records do not fit are counted as lost. Hits of a removed site are counted
// as malformed.
func TestStatsOfLosses(t *testing.T) {
	tr := newTracer(t, tracer.Config{RingSize: 64 << 10})
	sample := harness.Sample(t, "..")
	attachment, cookies := harness.File(t, tr, sample)
	_, flooded := runSample(t, sample, "--mode", "flood", "--count", "5000")
	st := stats(t, tr)
	if st.Hits != flooded || st.RingFull+st.RateLimited == 0 || st.Sent == 0 || st.Malformed != 0 {
		t.Errorf("%d hits without a reader: %+v", flooded, st)
	}
	if err := tr.Remove(cookies...); err != nil {
		t.Fatal(err)
	}
	_, unknown := runSample(t, sample, "--count", "1", "--rate", "0")
	if err := attachment.Close(); err != nil {
		t.Error(err)
	}
	st = stats(t, tr)
	if st.Hits != flooded+unknown || st.Malformed != unknown {
		t.Errorf("%d and %d hits, of which the last are malformed: %+v", flooded, unknown, st)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := tr.Run(ctx, newRecorder()); err != nil {
		t.Error(err)
	}
	if st = stats(t, tr); st.Read != st.Sent || st.Undecodable != 0 {
		t.Errorf("not every record was read: %+v", st)
	}
}

// After a loss, the next record of the process contains the number of hits that are missing before it.
func TestLostHitsAreTold(t *testing.T) {
	tr := newTracer(t, tracer.Config{ProcessRate: 1})
	sample := harness.Sample(t, "..")
	attachment, _ := harness.File(t, tr, sample)
	_, hits := runSample(t, sample, "--count", "3", "--rate", "10", "--role", "server", "--style", "self")
	if err := attachment.Close(); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	got := newRecorder()
	if err := tr.Run(ctx, got); err != nil {
		t.Fatal(err)
	}
	st := stats(t, tr)
	if st.Hits != hits || st.RateLimited == 0 || st.Sent == 0 || st.Sent != st.Read {
		t.Errorf("%d hits: %+v", hits, st)
	}
	last := got.events[len(got.events)-1]
	if last.Kind != event.ProcessExit || last.Lost != st.RateLimited {
		t.Errorf("the exit reports %d lost hits, want %d: %+v", last.Lost, st.RateLimited, last)
	}
}

// After a hit is lost, the state of its process that CPUs have cached is discarded, so that the next record has the
// exact number of lost hits.
func TestEveryRecordTellsOfTheLossesBeforeIt(t *testing.T) {
	for name, cfg := range map[string]tracer.Config{
		"ring":  {RingSize: 64 << 10, PollInterval: 5 * time.Millisecond},
		"limit": {ProcessRate: 10000},
	} {
		t.Run(name, func(t *testing.T) {
			tr := newTracer(t, cfg)
			sample := harness.Sample(t, "..")
			attachment, _ := harness.File(t, tr, sample)
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			got := newRecorder()
			done := start(ctx, tr, got)
			pid, _ := runSample(t, sample, "--mode", "flood", "--count", "100000")
			if err := attachment.Close(); err != nil {
				t.Error(err)
			}
			cancel()
			ended(t, done)

			var seen, last uint64
			for _, ev := range got.of(pid) {
				if ev.Kind == event.ProcessExit {
					last = ev.Lost
				}
				if len(ev.Pairs) != 1 || string(ev.Pairs[0].Key) != "test::word" {
					continue
				}
				if number := ev.Pairs[0].Word; ev.Lost != number-seen {
					t.Fatalf("event %d, before which %d events arrived, reports %d lost hits", number, seen, ev.Lost)
				}
				seen, last = seen+1, ev.Lost
			}
			if st := stats(t, tr); last == 0 || seen == 0 || st.RingFull+st.RateLimited < last {
				t.Errorf("%d events, the last with %d lost before it: %+v", seen, last, st)
			}
		})
	}
}

func TestAddAndRemove(t *testing.T) {
	tr := newTracer(t, tracer.Config{})
	site := probes.Site{Probe: probes.NewContext, Args: make([]probes.Operand, 2)}
	add := func() uint64 {
		t.Helper()
		cookie, err := tr.Add(site, 0)
		if err != nil {
			t.Fatal(err)
		}
		return cookie
	}
	a, b := add(), add()
	if a == b {
		t.Fatalf("two sites have cookie %d", a)
	}
	if err := tr.Remove(a); err != nil {
		t.Fatal(err)
	}
	if c := add(); c != a {
		t.Errorf("cookie is %d, want %d, which is free", c, a)
	}
	if err := tr.Remove(a, 1<<31, b); err == nil || !strings.Contains(err.Error(), "forget probe site") {
		t.Errorf("removing a cookie that nobody has: %v", err)
	}

	const sites = 16384
	cookies := make(map[uint64]bool)
	for range sites {
		cookies[add()] = true
	}
	if len(cookies) != sites {
		t.Errorf("%d sites got %d cookies", sites, len(cookies))
	}
	if _, err := tr.Add(site, 0); !errors.Is(err, tracer.ErrTooManySites) || !strings.Contains(err.Error(), "the limit is 16384") {
		t.Errorf("site %d: %v", sites+1, err)
	}
	if err := tr.Remove(7); err != nil {
		t.Fatal(err)
	}
	if c := add(); c != 7 {
		t.Errorf("cookie is %d, want 7, the only one that is free", c)
	}
}

// Close wakes a reader that waits for the kernel, and ends Run.
func TestCloseEndsRun(t *testing.T) {
	tr := newTracer(t, tracer.Config{PollInterval: time.Microsecond})
	got := newRecorder()
	done := start(context.Background(), tr, got)
	got.wait(t, "quiet", func(_ []event.Event, ticks []uint64) bool { return len(ticks) > 5 })
	if err := tr.Close(); err != nil {
		t.Error(err)
	}
	ended(t, done)
	if err := tr.Close(); err != nil {
		t.Errorf("closed again: %v", err)
	}
	if err := tr.Run(context.Background(), got); err != nil {
		t.Errorf("Run after Close: %v", err)
	}
	if _, err := tr.Add(probes.Site{}, 0); err == nil {
		t.Error("a site was added after Close")
	}
	if _, err := tr.Stats(); err == nil {
		t.Error("there are counters after Close")
	}
	if used, capacity := tr.RingFill(); used != 0 || capacity != 8<<20 {
		t.Errorf("the ring has %d of %d bytes after Close", used, capacity)
	}
}

// Close works in any state of the reader, and while other goroutines read the counters.
func TestCloseAtAnyTime(t *testing.T) {
	for i := range 12 { // in the last rounds the reader waits for the kernel
		tr := newTracer(t, tracer.Config{PollInterval: time.Microsecond})
		got := newRecorder()
		done := start(context.Background(), tr, got)
		ctx, cancel := context.WithCancel(context.Background())
		var asking sync.WaitGroup
		asking.Go(func() {
			for ctx.Err() == nil {
				tr.RingFill()
				_, _ = tr.Stats()
			}
		})
		got.wait(t, "tick", func(_ []event.Event, ticks []uint64) bool { return len(ticks) > i/2 })
		if err := tr.Close(); err != nil {
			t.Error(err)
		}
		ended(t, done)
		cancel()
		asking.Wait()
	}
}

// If New fails, it closes the files that it has opened.
func TestNewReleasesOnError(t *testing.T) {
	harness.RequireBPF(t)
	if tr, err := tracer.New(tracer.Config{}); err != nil { // opens the files that the runtime opens only once
		t.Fatal(err)
	} else if err := tr.Close(); err != nil {
		t.Fatal(err)
	}
	before := openFiles(t)
	for _, c := range []struct {
		cfg  tracer.Config
		want string
	}{
		{tracer.Config{RingSize: 5000}, "load program: "},
		{tracer.Config{RingSize: 1}, "load program: "},
		{tracer.Config{MaxProcesses: -1}, "load program: "},
	} {
		if tr, err := tracer.New(c.cfg); err == nil || !strings.HasPrefix(err.Error(), c.want) || tr != nil {
			t.Errorf("%+v: tracer %v, error %v", c.cfg, tr, err)
		}
	}
	if after := openFiles(t); after != before {
		t.Errorf("%d files are open, before there were %d", after, before)
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}
