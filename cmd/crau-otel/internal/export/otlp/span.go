// SPDX-License-Identifier: Apache-2.0

package otlp

import (
	"errors"
	"math"
	"slices"
	"unicode/utf8"

	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/crau-otel/crau-otel/mapping"
)

// Tags of the fields in opentelemetry/proto/trace/v1/trace.proto and common/v1/common.proto. A tag is a field's number
// and wire type. A tag takes one byte if the field number is below 16. That is so for all of them except Span.flags,
// which is why fieldFlags is only a field number.
const (
	bytesType   = byte(protowire.BytesType)
	varintType  = byte(protowire.VarintType)
	fixed64Type = byte(protowire.Fixed64Type)

	tagScopeSpans = 2<<3 | bytesType // ScopeSpans.spans

	tagTraceID    = 1<<3 | bytesType
	tagSpanID     = 2<<3 | bytesType
	tagParent     = 4<<3 | bytesType
	tagName       = 5<<3 | bytesType
	tagKind       = 6<<3 | varintType
	tagStart      = 7<<3 | fixed64Type
	tagEnd        = 8<<3 | fixed64Type
	tagAttributes = 9<<3 | bytesType
	tagDropped    = 10<<3 | varintType
	tagLinks      = 13<<3 | bytesType
	tagStatus     = 15<<3 | bytesType
	fieldFlags    = 16 // fixed32

	tagLinkTraceID = 1<<3 | bytesType // Span.Link
	tagLinkSpanID  = 2<<3 | bytesType
	fieldLinkFlags = 6 // fixed32

	tagStatusMessage = 2<<3 | bytesType
	tagStatusCode    = 3<<3 | varintType

	tagKey   = 1<<3 | bytesType // KeyValue
	tagValue = 2<<3 | bytesType

	tagString = 1<<3 | bytesType // AnyValue
	tagBool   = 2<<3 | varintType
	tagInt    = 3<<3 | varintType
	tagArray  = 5<<3 | bytesType

	tagElement = 1<<3 | bytesType // ArrayValue.values
)

// spanFlags is the value of Span.flags. Every span is sampled, and has no remote parent.
const spanFlags = uint32(trace.FlagsSampled) | uint32(tracepb.SpanFlags_SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK)

var errUTF8 = errors.New("string field contains invalid UTF-8")

// appendSpan appends a span as one element of ScopeSpans.spans, in the encoding of the SDK's exporter. It stores the
// positions of the parts that differ between spans of one pattern in e.offsets. variable is the index of the attribute
// that differs, or -1 if the span has no pattern.
func (e *encoder) appendSpan(b []byte, s *mapping.Span, variable int) ([]byte, error) {
	e.offsets = offsets{}
	e.invalid = false
	// Two bytes are reserved for the length, which is enough for nearly every span.
	b = append(b, tagScopeSpans, 0, 0)
	start := len(b)
	b = append(append(b, tagTraceID, byte(len(s.TraceID))), s.TraceID[:]...)
	b = appendSpanID(b, tagSpanID, s.SpanID)
	if s.ParentID.IsValid() {
		b = appendSpanID(b, tagParent, s.ParentID)
	}
	if s.Name != "" {
		b = e.appendText(b, tagName, s.Name)
	}
	if kind := spanKind(s.Kind); kind != 0 {
		b = append(b, tagKind, kind)
	}
	if t := max(0, s.Start.UnixNano()); t != 0 {
		e.offsets.start = len(b) + 1 - start
		b = protowire.AppendFixed64(append(b, tagStart), uint64(t))
	}
	if t := max(0, s.End.UnixNano()); t != 0 {
		e.offsets.end = len(b) + 1 - start
		b = protowire.AppendFixed64(append(b, tagEnd), uint64(t))
	}
	attrs := s.Attributes()
	for i := range attrs {
		b = e.appendAttribute(b, &attrs[i])
		if i == variable {
			e.offsets.text = len(b) - len(attrs[i].Value.AsString()) - start
		}
	}
	if n := min(max(0, int64(s.DroppedAttributes)), math.MaxUint32); n != 0 {
		b = protowire.AppendVarint(append(b, tagDropped), uint64(n))
	}
	if s.Link.IsValid() {
		b = appendLink(b, s.Link)
	}
	b = e.appendStatus(b, s.Status)
	b = protowire.AppendFixed32(protowire.AppendTag(b, fieldFlags, protowire.Fixed32Type), spanFlags)
	if e.invalid {
		return b, errUTF8
	}
	return putLength(b, start), nil
}

// putLength writes the length of b, counted from start, into the two bytes before start. If the length needs more or
// fewer bytes, the content is moved.
func putLength(b []byte, start int) []byte {
	n := len(b) - start
	size := protowire.SizeVarint(uint64(n))
	if size > 2 {
		b = slices.Insert(b, start, make([]byte, size-2)...)
	}
	if size == 1 {
		b = slices.Delete(b, start-1, start)
	}
	protowire.AppendVarint(b[:start-2], uint64(n))
	return b
}

func appendSpanID(b []byte, tag byte, id trace.SpanID) []byte {
	return append(append(b, tag, byte(len(id))), id[:]...)
}

// linkSize is the size of an encoded Span.Link in bytes.
const linkSize = 2 + len(trace.TraceID{}) + 2 + len(trace.SpanID{}) + 5

// appendLink appends an element of Span.links.
func appendLink(b []byte, l mapping.Link) []byte {
	b = append(b, tagLinks, byte(linkSize))
	b = append(append(b, tagLinkTraceID, byte(len(l.TraceID))), l.TraceID[:]...)
	b = appendSpanID(b, tagLinkSpanID, l.SpanID)
	return protowire.AppendFixed32(protowire.AppendTag(b, fieldLinkFlags, protowire.Fixed32Type), spanFlags)
}

// spanKind returns the number of kind in the protobuf enumeration Span.SpanKind.
func spanKind(kind trace.SpanKind) byte {
	switch kind {
	case trace.SpanKindInternal:
		return byte(tracepb.Span_SPAN_KIND_INTERNAL)
	case trace.SpanKindServer:
		return byte(tracepb.Span_SPAN_KIND_SERVER)
	case trace.SpanKindClient:
		return byte(tracepb.Span_SPAN_KIND_CLIENT)
	case trace.SpanKindProducer:
		return byte(tracepb.Span_SPAN_KIND_PRODUCER)
	case trace.SpanKindConsumer:
		return byte(tracepb.Span_SPAN_KIND_CONSUMER)
	default:
		return byte(tracepb.Span_SPAN_KIND_UNSPECIFIED)
	}
}

func (e *encoder) appendText(b []byte, tag byte, s string) []byte {
	e.invalid = e.invalid || !utf8.ValidString(s)
	return append(protowire.AppendVarint(append(b, tag), uint64(len(s))), s...)
}

// sizeText returns the size of an encoded string field in bytes, including its tag and length.
func sizeText(s string) int { return 1 + protowire.SizeBytes(len(s)) }

// appendStatus appends Span.status, even if the status is empty, because the SDK always sets it.
func (e *encoder) appendStatus(b []byte, s sdktrace.Status) []byte {
	var code tracepb.Status_StatusCode
	switch s.Code {
	case codes.Ok:
		code = tracepb.Status_STATUS_CODE_OK
	case codes.Error:
		code = tracepb.Status_STATUS_CODE_ERROR
	default:
	}
	size := 0
	if s.Description != "" {
		size += sizeText(s.Description)
	}
	if code != 0 {
		size += 2
	}
	b = protowire.AppendVarint(append(b, tagStatus), uint64(size))
	if s.Description != "" {
		b = e.appendText(b, tagStatusMessage, s.Description)
	}
	if code != 0 {
		b = append(b, tagStatusCode, byte(code))
	}
	return b
}
