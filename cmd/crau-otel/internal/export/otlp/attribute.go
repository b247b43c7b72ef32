// SPDX-License-Identifier: Apache-2.0

package otlp

import (
	"unsafe"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/crau-otel/crau-otel/mapping/memo"
)

// encoder encodes spans. It remembers encoded attributes, because most attributes were encoded before.
type encoder struct {
	invalid    bool // a text of the current span is not UTF-8
	attributes memo.Table[attribute.KeyValue, encodedAttribute]

	offsets   offsets              // positions in the latest span that appendSpan encoded
	templates map[uint64]*template // templates by the number of the pattern
	size      int                  // bytes of all templates
}

const (
	rememberedAttributes = 512
	rememberedBytes      = 87 // bytes of the longest encoded attribute that is remembered
)

// encodedAttribute is one attribute, encoded as an element of Span.attributes.
type encodedAttribute struct {
	size  uint8
	bytes [rememberedBytes]byte
}

func newEncoder() encoder {
	return encoder{attributes: memo.New[attribute.KeyValue, encodedAttribute](rememberedAttributes)}
}

// appendAttribute appends an attribute as one element of Span.attributes.
func (e *encoder) appendAttribute(b []byte, kv *attribute.KeyValue) []byte {
	hash := hashOf(kv)
	if known := e.attributes.Get(hash, *kv); known != nil {
		return append(b, known.bytes[:known.size]...)
	}
	valid, start := !e.invalid, len(b)
	b = e.appendNew(b, kv)
	if size := len(b) - start; valid && !e.invalid && size <= rememberedBytes {
		encoded := encodedAttribute{size: uint8(size)}
		copy(encoded.bytes[:], b[start:])
		e.attributes.Put(hash, *kv, encoded)
	}
	return b
}

// hashOf returns a hash of the memory addresses of an attribute's strings, which is faster than a hash of their bytes.
// An equal attribute with strings at other addresses has another hash, and is remembered separately.
func hashOf(kv *attribute.KeyValue) uint64 {
	value := kv.Value.AsString()
	h := address(string(kv.Key))*3 + address(value) + uint64(len(value))
	switch kv.Value.Type() {
	case attribute.INT64:
		h += uint64(kv.Value.AsInt64()) << 4
	case attribute.BOOL:
		if kv.Value.AsBool() {
			h += 1 << 4
		}
	default:
	}
	return h
}

// address returns the memory address of a string.
func address(s string) uint64 {
	return uint64(uintptr(unsafe.Pointer(unsafe.StringData(s)))) //nolint:gosec // only a number, for a hash
}

// appendNew is appendAttribute for an attribute that is not remembered.
func (e *encoder) appendNew(b []byte, kv *attribute.KeyValue) []byte {
	key := string(kv.Key)
	size := 0 // bytes of the AnyValue message
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
	default:
		return e.appendForeign(b, kv)
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

// appendForeign uses the SDK to append an attribute of a kind that crau-otel does not set itself.
func (e *encoder) appendForeign(b []byte, kv *attribute.KeyValue) []byte {
	stub := tracetest.SpanStub{Attributes: []attribute.KeyValue{*kv}}
	encoded, err := proto.Marshal(transform(stub).ScopeSpans[0].Spans[0].Attributes[0])
	e.invalid = e.invalid || err != nil
	return protowire.AppendBytes(append(b, tagAttributes), encoded)
}
