// SPDX-License-Identifier: Apache-2.0

package otlp

import (
	"encoding/binary"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/crau-otel/crau-otel/mapping"
)

// template is the encoding of one span with a pattern. Encodings of other spans with this pattern differ in a few
// bytes, at the positions in offsets.
type template struct {
	bytes   []byte
	offsets offsets
}

// offsets are the positions of the parts that differ between spans of a pattern; 0 means that the span has no such
// part. body is the position of the Span message within its element of ScopeSpans.spans. The other positions are
// relative to body.
type offsets struct {
	body, start, end, text int
}

const (
	// The positions of the ids within a Span message. The ids come first, each after a tag and a length of one byte each.
	traceIDOffset = 2
	spanIDOffset  = traceIDOffset + 16 + 2
	parentOffset  = spanIDOffset + 8 + 2
)

// maxTemplates bounds the memory of all templates, in bytes.
const maxTemplates = 2 << 20

// append does the same as appendSpan, but uses the template of the span's pattern. If there is no such template yet, it
// creates one.
func (e *encoder) append(b []byte, s *mapping.Span) ([]byte, error) {
	number, own, text := s.Pattern()
	if number == 0 {
		return e.appendSpan(b, s, -1)
	}
	first, last := s.Start.UnixNano(), s.End.UnixNano()
	if t := e.templates[number]; t != nil && first > 0 && last > 0 {
		start := len(b)
		b = append(b, t.bytes...)
		t.fill(b[start:], s, first, last, text)
		return b, nil
	}
	start := len(b)
	b, err := e.appendSpan(b, s, own)
	if err == nil && e.offsets.start > 0 && e.offsets.end > 0 && e.offsets.text > 0 {
		e.learn(number, b[start:])
	}
	return b, err
}

func (e *encoder) learn(number uint64, element []byte) {
	if e.templates == nil || e.size+len(element) > maxTemplates {
		e.templates, e.size = make(map[uint64]*template), 0
	}
	body, _ := protowire.ConsumeBytes(element[1:])
	e.offsets.body = len(element) - len(body)
	e.templates[number] = &template{bytes: slices.Clone(element), offsets: e.offsets}
	e.size += len(element)
}

// fill replaces the parts that differ in b, a copy of the template. start and end are Unix times in nanoseconds, and
// text is the value of the one attribute that differs.
func (t *template) fill(b []byte, s *mapping.Span, start, end int64, text string) {
	body := b[t.offsets.body:]
	copy(body[traceIDOffset:], s.TraceID[:])
	copy(body[spanIDOffset:], s.SpanID[:])
	if s.ParentID.IsValid() {
		copy(body[parentOffset:], s.ParentID[:])
	}
	binary.LittleEndian.PutUint64(body[t.offsets.start:], uint64(start))
	binary.LittleEndian.PutUint64(body[t.offsets.end:], uint64(end))
	copy(body[t.offsets.text:], text)
}
