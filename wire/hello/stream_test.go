// SPDX-License-Identifier: Apache-2.0

package hello

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// A stream is reassembled from overlapping segments that arrive in any order, some of them twice.
func TestStreamAnyOrder(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		want := make([]byte, 1+r.IntN(900))
		for i := range want {
			want[i] = byte(r.Uint32())
		}
		base := r.Uint32() // may wrap around
		type segment struct{ from, to int }
		var segments []segment
		for at := 0; at < len(want); {
			to := min(len(want), at+1+r.IntN(40))
			segments = append(segments, segment{max(0, at-r.IntN(10)), min(len(want), to+r.IntN(10))})
			if r.IntN(4) == 0 {
				segments = append(segments, segments[r.IntN(len(segments))])
			}
			at = to
		}
		r.Shuffle(len(segments), func(i, j int) { segments[i], segments[j] = segments[j], segments[i] })
		var s stream
		s.start(base)
		for _, seg := range segments {
			s.add(base+uint32(seg.from), want[seg.from:seg.to])
		}
		if got := s.bytes(); !bytes.Equal(got, want) || s.cut {
			t.Fatalf("seed %d: got %d bytes (cut: %t), want %d", seed, len(got), s.cut, len(want))
		}
		if len(s.ranges) != 1 {
			t.Fatalf("seed %d: %d ranges", seed, len(s.ranges))
		}
	}
}

func TestStreamFirstCopyCounts(t *testing.T) {
	var s stream
	s.start(100)
	s.add(102, []byte("cd"))
	s.add(100, []byte("abXXef"))
	if got := string(s.bytes()); got != "abcdef" {
		t.Errorf("got %q, want abcdef", got)
	}
}

func TestStreamKeepsAtMostMaxBytes(t *testing.T) {
	for _, n := range []int{0, MaxBytes - 1, MaxBytes, MaxBytes + 1} {
		var s stream
		s.start(7)
		s.add(7, make([]byte, n))
		if len(s.bytes()) != min(n, MaxBytes) || s.cut != (n > MaxBytes) {
			t.Errorf("%d bytes: kept %d, cut %t", n, len(s.bytes()), s.cut)
		}
	}
	for _, n := range []int{maxRanges - 1, maxRanges, maxRanges + 1} {
		var s stream
		s.start(0)
		for i := range n {
			s.add(uint32(2*i+1), []byte{1})
		}
		if len(s.ranges) > maxRanges || s.cut != (n > maxRanges) {
			t.Errorf("%d pieces: %d ranges, cut %t", n, len(s.ranges), s.cut)
		}
	}
}
