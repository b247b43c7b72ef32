// SPDX-License-Identifier: Apache-2.0

package hello

import "slices"

const (
	// MaxBytes is the number of bytes of one direction that are examined.
	MaxBytes = 16 << 10
	// maxRanges is the largest number of separate ranges of a stream that are kept while there are gaps between them.
	maxRanges = 64
)

// stream reassembles the segments of one direction.
type stream struct {
	base    uint32 // sequence number of the first byte
	started bool   // base is set
	buf     []byte // the bytes from base on
	ranges  []span // filled parts of buf, in order, neither touching nor overlapping
	cut     bool   // bytes were dropped, behind MaxBytes or because of too many gaps
}

// span is a range of bytes of a stream.
type span struct{ from, to int }

// start sets the sequence number of the first byte.
func (s *stream) start(seq uint32) {
	s.base, s.started = seq, true
}

// add adds a segment. If bytes arrive twice, the first copy wins.
func (s *stream) add(seq uint32, data []byte) {
	if !s.started {
		s.start(seq)
	}
	from := int(int32(seq - s.base))
	if from < 0 {
		if -from >= len(data) {
			return
		}
		data = data[-from:]
		from = 0
	}
	if from+len(data) > MaxBytes {
		s.cut = true
		if from >= MaxBytes {
			return
		}
		data = data[:MaxBytes-from]
	}
	if len(data) == 0 {
		return
	}
	s.fill(from, data)
}

// fill copies data to buf from index from on, except bytes that buf already has.
func (s *stream) fill(from int, data []byte) {
	to := from + len(data)
	first, _ := slices.BinarySearchFunc(s.ranges, from, func(r span, from int) int { return r.to - from })
	last := first // index after the last range that touches or overlaps data
	for last < len(s.ranges) && s.ranges[last].from <= to {
		last++
	}
	if first == last && len(s.ranges) >= maxRanges {
		s.cut = true
		return
	}
	if to > len(s.buf) {
		s.buf = append(s.buf, make([]byte, to-len(s.buf))...)
	}
	at := from
	merged := span{from, to}
	for _, r := range s.ranges[first:last] {
		if at < r.from {
			copy(s.buf[at:min(r.from, to)], data[at-from:])
		}
		at = max(at, min(r.to, to))
		merged = span{min(merged.from, r.from), max(merged.to, r.to)}
	}
	if at < to {
		copy(s.buf[at:to], data[at-from:])
	}
	s.ranges = slices.Replace(s.ranges, first, last, merged)
}

// bytes returns the bytes of the stream before the first gap.
func (s *stream) bytes() []byte {
	if len(s.ranges) == 0 || s.ranges[0].from > 0 {
		return nil
	}
	return s.buf[:s.ranges[0].to]
}
