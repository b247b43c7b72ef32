// SPDX-License-Identifier: Apache-2.0

package golden

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/crau-otel/crau-otel/tracer/event"
)

// Every recording is replayed unchanged. Recordings of GnuTLS are also replayed without the events of entry points, so
// that the pieces of a handshake must be joined by inference.
func TestRecordingsReplayToTheGoldenTrees(t *testing.T) {
	paths, err := filepath.Glob(recordingPath("*"))
	if err != nil || len(paths) < 10 {
		t.Fatalf("recordings are %v, %v", paths, err)
	}
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), ".rec")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			events := readRecording(t, name)
			compare(t, name, replay(t, events))
			sessions := func(ev event.Event) bool { return ev.Kind == event.SessionEnter || ev.Kind == event.SessionLeave }
			if !strings.HasPrefix(name, "gnutls") {
				return
			}
			if !slices.ContainsFunc(events, sessions) {
				t.Error("no session in the recording")
			}
			compare(t, name+".inferred", replay(t, slices.DeleteFunc(events, sessions)))
		})
	}
}

// The three ways in which a program can report the parent of a context give the same trees.
func TestStylesGiveTheSameTrees(t *testing.T) {
	var want string
	for _, style := range []string{"explicit", "self", "link"} {
		var got strings.Builder
		for _, tree := range replay(t, readRecording(t, "sample-"+style)).Trees {
			got.WriteString(tree.shape())
		}
		if want == "" {
			want = got.String()
		}
		if got.String() != want {
			t.Errorf("style %s: got\n%s\nwant\n%s", style, got.String(), want)
		}
	}
	if n := strings.Count(want, "\n"); n != 18 {
		t.Errorf("%d spans, want 18:\n%s", n, want)
	}
}

func TestParseRecording(t *testing.T) {
	whole, err := os.ReadFile(recordingPath("sample-self"))
	if err != nil {
		t.Fatal(err)
	}
	ends := map[int]bool{}
	for n := len(magic) + 4; n < len(whole); n += 4 + int(whole[n]) + int(whole[n+1])<<8 {
		ends[n] = true
	}
	for n := range whole {
		if _, err := parseRecording(whole[:n]); (err == nil) != ends[n] {
			t.Fatalf("the first %d of %d bytes: %v", n, len(whole), err)
		}
	}
	other := slices.Clone(whole)
	other[len(magic)]++
	if _, err := parseRecording(other); err == nil || !strings.Contains(err.Error(), "record it again") {
		t.Errorf("a recording with other heads: %v", err)
	}
}
