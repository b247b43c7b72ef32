// SPDX-License-Identifier: Apache-2.0

package otlp

import (
	"encoding/binary"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/crau-otel/crau-otel/mapping"
)

// template is an encoded span of a pattern. Other spans of the pattern differ from it in a few bytes.
type template struct {
	bytes   []byte
	offsets offsets
}

// offsets are the positions of the parts that differ between spans; 0 means that the span has no such part. body is
// where Span begins in the element; the others are relative to it. The ids come first, each after a tag and a length.
type offsets struct {
	body, start, end, text int
}

const (
	traceIDOffset = 2
	spanIDOffset  = traceIDOffset + 16 + 2
	parentOffset  = spanIDOffset + 8 + 2
)

// maxTemplates bounds the memory of all templates, in bytes.
const maxTemplates = 2 << 20

// append does the same as appendSpan. It uses the template of the span's pattern, and creates one if there is none.
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

// fill replaces the parts that differ in a copy of the template. Times are Unix nanoseconds, text is the value of the
// pattern's attribute.
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
