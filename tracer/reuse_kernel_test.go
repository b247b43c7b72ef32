// SPDX-License-Identifier: Apache-2.0

package tracer_test

import (
	"context"
	"testing"

	"github.com/crau-otel/crau-otel/probes"
	"github.com/crau-otel/crau-otel/test/harness"
	"github.com/crau-otel/crau-otel/tracer"
)

// The kernel may still be detaching a file when the entries of its sites are reused for another file. Hits of the first
// file are never attributed to the other file.
func TestHitsOfAFileAreNotThoseOfTheNextWithItsEntries(t *testing.T) {
	tr := newTracer(t, tracer.Config{})
	sample := harness.Sample(t, "..")
	attachment, cookies := harness.File(t, tr, sample) // file number 0
	if err := tr.Remove(cookies...); err != nil {
		t.Fatal(err)
	}
	file, err := probes.Open(sample)
	if err != nil {
		t.Fatal(err)
	}
	reused := make(map[uint32]bool)
	for _, cookie := range cookies {
		reused[uint32(cookie)] = true
	}
	for _, site := range file.Sites {
		cookie, err := tr.Add(site, 1)
		if err != nil {
			t.Fatal(err)
		}
		delete(reused, uint32(cookie))
		if cookie>>32 != 1 {
			t.Errorf("the cookie %#x is not of file 1", cookie)
		}
	}
	if len(reused) > 0 {
		t.Fatalf("%d entries were not used again", len(reused))
	}
	_, hits := runSample(t, sample, "--count", "1", "--rate", "0")
	if err := attachment.Close(); err != nil {
		t.Error(err)
	}
	if st := stats(t, tr); hits == 0 || st.Hits != hits || st.Malformed != hits {
		t.Errorf("%d hits, all of a file that is no more: %+v", hits, st)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	got := newRecorder()
	if err := tr.Run(ctx, got); err != nil {
		t.Error(err)
	}
	for _, ev := range got.events {
		if ev.Context != 0 && ev.File == 1 {
			t.Errorf("event of the other file: %+v", ev)
		}
	}
}
