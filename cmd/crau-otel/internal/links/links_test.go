// SPDX-License-Identifier: Apache-2.0

package links

import (
	"testing"
	"time"

	"github.com/crau-otel/crau-otel/probes"
	"github.com/crau-otel/crau-otel/test/harness"
	"github.com/crau-otel/crau-otel/tracer"
)

func TestHeldSitesAreHitUntilTheyAreDetached(t *testing.T) {
	harness.RequireBPF(t)
	pinning, err := New()
	if err != nil {
		t.Fatal(err)
	}
	for name, h := range map[string]*Holder{"pinned": pinning, "unpinned": {closing: make(chan struct{}, maxClosing)}} {
		t.Run(name, func(t *testing.T) {
			sample := harness.Sample(t, "../../../..")
			tr, err := tracer.New(tracer.Config{})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = tr.Close() })
			file, err := probes.Open(sample)
			if err != nil {
				t.Fatal(err)
			}
			cookies := make([]uint64, len(file.Sites))
			for i, site := range file.Sites {
				if cookies[i], err = tr.Add(site, 0); err != nil {
					t.Fatal(err)
				}
			}
			attachment, err := probes.Attach(sample, tr.Program(), tr.Multi(), file.Sites, cookies)
			if err != nil {
				t.Fatal(err)
			}
			held, err := h.Hold(attachment)
			if err != nil {
				t.Fatal(err)
			}
			hits := func() uint64 {
				stats, err := tr.Stats()
				if err != nil {
					t.Fatal(err)
				}
				return stats.Hits
			}
			want := uint64(harness.RunSample(t, sample, "--count", "1", "--rate", "0"))
			if got := hits(); got != want || want == 0 {
				t.Errorf("%d hits, want %d", got, want)
			}
			detached := make(chan error, 1)
			held.Detach(func(err error) { detached <- err })
			if err := h.Wait(10 * time.Second); err != nil {
				t.Fatal(err)
			}
			if err := <-detached; err != nil {
				t.Fatal(err)
			}
			// The kernel detaches pinned links asynchronously.
			for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
				before := hits()
				harness.RunSample(t, sample, "--count", "1", "--rate", "0")
				if hits() == before {
					break
				}
				if time.Now().After(deadline) {
					t.Fatal("the sites are still attached")
				}
			}
			if err := h.Close(); err != nil {
				t.Error(err)
			}
			if err := h.Close(); err != nil {
				t.Errorf("closing again: %v", err)
			}
		})
	}
}

func TestInProgram(t *testing.T) {
	t.Parallel()
	for stack, want := range map[string]bool{
		"[<0>] handle_mm_fault+0xd0/0x310\n[<0>] uprobe_prog_run+0x15f/0x420\n": true,
		"[<0>] handle_mm_fault+0xd0/0x310\n[<0>] exc_page_fault+0x20d/0x770\n":  false,
		"[<0>] synchronize_rcu_tasks_trace\n[<0>] uprobe_unregister_sync\n":     false,
	} {
		if got := inProgram([]byte(stack)); got != want {
			t.Errorf("%q: %v", stack, got)
		}
	}
}
