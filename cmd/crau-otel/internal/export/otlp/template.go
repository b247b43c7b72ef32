// SPDX-License-Identifier: Apache-2.0

package otlp

import (
	"encoding/binary"
	"slices"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"google.golang.org/protobuf/encoding/protowire"
)

// patterned is what mapping's spans are: those of one pattern differ only in their ids, times, resource and the text of
// one attribute, which is as long in all of them.
type patterned interface {
	Pattern() (number uint64, attribute int, text string)
}

// template is an encoded span of a pattern. Another one is the same but for some bytes.
type template struct {
	bytes []byte
	at    places // in bytes
}

// places are offsets of what is a span's own; 0 stands for what it does not have. The ids come first, each behind a tag
// and a length.
type places struct {
	body, start, end, text int
}

const (
	atTraceID = 2
	atSpanID  = atTraceID + 16 + 2
	atParent  = atSpanID + 8 + 2
)

// maxTemplates bounds the memory of all templates, in bytes.
const maxTemplates = 2 << 20

// pattern returns what a span says of its pattern, 0 if it has none.
func pattern(s sdktrace.ReadOnlySpan) (number uint64, attribute int, text string) {
	if p, ok := s.(patterned); ok {
		return p.Pattern()
	}
	return 0, 0, ""
}

// append appends a span as appendSpan does, and learns a template for others of its pattern.
func (e *encoder) append(b []byte, s sdktrace.ReadOnlySpan, number uint64, own int) ([]byte, error) {
	if number == 0 {
		return e.appendSpan(b, s, -1)
	}
	start := len(b)
	b, err := e.appendSpan(b, s, own)
	if err == nil && e.at.start > 0 && e.at.end > 0 && e.at.text > 0 && s.SpanContext().TraceState().Len() == 0 {
		e.learn(number, b[start:])
	}
	return b, err
}

func (e *encoder) learn(number uint64, element []byte) {
	if e.templates == nil || e.size+len(element) > maxTemplates {
		e.templates, e.size = make(map[uint64]*template), 0
	}
	body, _ := protowire.ConsumeBytes(element[1:])
	e.at.body = len(element) - len(body)
	e.templates[number] = &template{bytes: slices.Clone(element), at: e.at}
	e.size += len(element)
}

// write writes a span of the template's pattern, of that time (Unix, ns), to b, which is as long as the template. The text
// is that of its own attribute.
func (t *template) write(b []byte, s sdktrace.ReadOnlySpan, start, end int64, text string) {
	copy(b, t.bytes)
	body := b[t.at.body:]
	sc, parent := s.SpanContext(), s.Parent()
	trace, id := sc.TraceID(), sc.SpanID()
	copy(body[atTraceID:], trace[:])
	copy(body[atSpanID:], id[:])
	if parent.SpanID().IsValid() {
		id = parent.SpanID()
		copy(body[atParent:], id[:])
	}
	binary.LittleEndian.PutUint64(body[t.at.start:], uint64(start))
	binary.LittleEndian.PutUint64(body[t.at.end:], uint64(end))
	copy(body[t.at.text:], text)
}
