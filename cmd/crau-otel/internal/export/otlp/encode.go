// SPDX-License-Identifier: Apache-2.0

package otlp

import (
	"errors"
	"math"
	"slices"
	"unicode/utf8"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// Tags of opentelemetry/proto/trace/v1/trace.proto and common/v1/common.proto: the field's number and wire type. All
// numbers are below 16, so that a tag is one byte, except that of Span.flags.
const (
	bytesType   = byte(protowire.BytesType)
	varintType  = byte(protowire.VarintType)
	fixed64Type = byte(protowire.Fixed64Type)

	tagScopeSpans = 2<<3 | bytesType // ScopeSpans.spans

	tagTraceID    = 1<<3 | bytesType
	tagSpanID     = 2<<3 | bytesType
	tagTraceState = 3<<3 | bytesType
	tagParent     = 4<<3 | bytesType
	tagName       = 5<<3 | bytesType
	tagKind       = 6<<3 | varintType
	tagStart      = 7<<3 | fixed64Type
	tagEnd        = 8<<3 | fixed64Type
	tagAttributes = 9<<3 | bytesType
	tagDropped    = 10<<3 | varintType
	tagStatus     = 15<<3 | bytesType
	fieldFlags    = 16 // fixed32

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

var errUTF8 = errors.New("string field contains invalid UTF-8")

// appendSpan appends a span as one element of ScopeSpans.spans: what the SDK's transform makes of it, marshalled. Spans
// with events or links, or with attributes of kinds that crau-otel does not set, go the SDK's way. Where in the element
// what the span does not share with others of its pattern is, is left in e.at; own is its own attribute, -1 if it has none.
func (e *encoder) appendSpan(b []byte, s sdktrace.ReadOnlySpan, own int) ([]byte, error) {
	e.at = places{}
	if len(s.Events()) > 0 || len(s.Links()) > 0 || s.DroppedEvents() != 0 || s.DroppedLinks() != 0 {
		return appendForeign(b, s)
	}
	e.invalid = false
	// Nearly every span's length takes two bytes.
	b = append(b, tagScopeSpans, 0, 0)
	start := len(b)
	sc, parent := s.SpanContext(), s.Parent()
	id := sc.TraceID()
	b = append(append(b, tagTraceID, byte(len(id))), id[:]...)
	b = appendSpanID(b, tagSpanID, sc.SpanID())
	if state := sc.TraceState().String(); state != "" {
		b = e.appendText(b, tagTraceState, state)
	}
	if parent.SpanID().IsValid() {
		b = appendSpanID(b, tagParent, parent.SpanID())
	}
	if name := s.Name(); name != "" {
		b = e.appendText(b, tagName, name)
	}
	if kind := spanKind(s.SpanKind()); kind != 0 {
		b = append(b, tagKind, kind)
	}
	if t := max(0, s.StartTime().UnixNano()); t != 0 {
		e.at.start = len(b) + 1 - start
		b = protowire.AppendFixed64(append(b, tagStart), uint64(t))
	}
	if t := max(0, s.EndTime().UnixNano()); t != 0 {
		e.at.end = len(b) + 1 - start
		b = protowire.AppendFixed64(append(b, tagEnd), uint64(t))
	}
	attrs := s.Attributes()
	for i := range attrs {
		if foreign(&attrs[i]) {
			e.at = places{}
			return appendForeign(b[:start-3], s)
		}
		b = e.appendKnown(b, &attrs[i])
		if i == own {
			e.at.text = len(b) - len(attrs[i].Value.AsString()) - start
		}
	}
	if n := min(max(0, int64(s.DroppedAttributes())), math.MaxUint32); n != 0 {
		b = protowire.AppendVarint(append(b, tagDropped), uint64(n))
	}
	b = e.appendStatus(b, s.Status())
	flags := uint32(sc.TraceFlags()) | uint32(tracepb.SpanFlags_SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK)
	if parent.IsRemote() {
		flags |= uint32(tracepb.SpanFlags_SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK)
	}
	b = protowire.AppendFixed32(protowire.AppendTag(b, fieldFlags, protowire.Fixed32Type), flags)
	if e.invalid {
		return b, errUTF8
	}
	return putLength(b, start), nil
}

// putLength writes how long b is from start on into the two bytes before start, and makes more room if it needs to.
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

// appendForeign appends a span as the SDK's transform and protobuf have it.
func appendForeign(b []byte, s sdktrace.ReadOnlySpan) ([]byte, error) {
	span := transform(s).ScopeSpans[0].Spans[0]
	b = protowire.AppendVarint(append(b, tagScopeSpans), uint64(proto.Size(span)))
	b, err := proto.MarshalOptions{UseCachedSize: true}.MarshalAppend(b, span)
	return b, err
}

// foreign reports whether appendAttribute does not know the attribute's kind.
func foreign(kv *attribute.KeyValue) bool {
	switch kv.Value.Type() {
	case attribute.STRING, attribute.INT64, attribute.BOOL, attribute.STRINGSLICE:
		return false
	default:
		return true
	}
}

func appendSpanID(b []byte, tag byte, id trace.SpanID) []byte {
	return append(append(b, tag, byte(len(id))), id[:]...)
}

// spanKind returns the value of Span.SpanKind.
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

// sizeText returns the size of a string field.
func sizeText(s string) int { return 1 + protowire.SizeBytes(len(s)) }

func (e *encoder) appendAttribute(b []byte, kv *attribute.KeyValue) []byte {
	key := string(kv.Key)
	size := 0 // of the AnyValue
	var list []string
	array := 0
	switch kv.Value.Type() {
	case attribute.STRING:
		size = sizeText(kv.Value.AsString())
	case attribute.INT64:
		size = 1 + protowire.SizeVarint(uint64(kv.Value.AsInt64()))
	case attribute.BOOL:
		size = 2
	case attribute.STRINGSLICE:
		list = kv.Value.AsStringSlice()
		for _, s := range list {
			array += 1 + protowire.SizeBytes(sizeText(s))
		}
		size = 1 + protowire.SizeBytes(array)
	default: // foreign
	}
	whole := 1 + protowire.SizeBytes(size)
	if key != "" {
		whole += sizeText(key)
	}
	b = protowire.AppendVarint(append(b, tagAttributes), uint64(whole))
	if key != "" {
		b = e.appendText(b, tagKey, key)
	}
	b = protowire.AppendVarint(append(b, tagValue), uint64(size))
	switch kv.Value.Type() {
	case attribute.STRING:
		b = e.appendText(b, tagString, kv.Value.AsString())
	case attribute.INT64:
		b = protowire.AppendVarint(append(b, tagInt), uint64(kv.Value.AsInt64()))
	case attribute.BOOL:
		b = append(b, tagBool, 0)
		if kv.Value.AsBool() {
			b[len(b)-1] = 1
		}
	case attribute.STRINGSLICE:
		b = protowire.AppendVarint(append(b, tagArray), uint64(array))
		for _, s := range list {
			b = protowire.AppendVarint(append(b, tagElement), uint64(sizeText(s)))
			b = e.appendText(b, tagString, s)
		}
	default:
	}
	return b
}

// appendStatus appends the status, which the SDK always sets.
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
