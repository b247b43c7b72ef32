// SPDX-License-Identifier: Apache-2.0

package otlp

import (
	"unsafe"

	"go.opentelemetry.io/otel/attribute"
)

// encoder encodes spans. It remembers attributes, since nearly all of them come again and again.
type encoder struct {
	invalid bool // some text of the span is not UTF-8
	known   [rememberedAttributes]rememberedAttribute

	at        places               // in the span that was encoded last
	templates map[uint64]*template // by number of their pattern
	size      int                  // of these, in bytes
}

const (
	rememberedAttributes = 512 // a power of two
	rememberedBytes      = 87  // of one encoded attribute; longer ones are not remembered
)

// rememberedAttribute is an attribute with its encoding.
type rememberedAttribute struct {
	kv    attribute.KeyValue
	size  uint8 // 0: none is remembered
	bytes [rememberedBytes]byte
}

// appendKnown appends an attribute as one element of Span.attributes, in its remembered form if there is one. To look it
// up takes little: strings that are in the same place in memory are equal without a look at them.
func (e *encoder) appendKnown(b []byte, kv *attribute.KeyValue) []byte {
	r := &e.known[mix(kv)]
	if r.size != 0 && r.kv.Key == kv.Key && r.kv.Value == kv.Value {
		return append(b, r.bytes[:r.size]...)
	}
	valid, start := !e.invalid, len(b)
	b = e.appendAttribute(b, kv)
	if size := len(b) - start; valid && !e.invalid && size <= rememberedBytes {
		r.kv, r.size = *kv, uint8(size)
		copy(r.bytes[:], b[start:])
	}
	return b
}

// mix returns a number below rememberedAttributes. Equal attributes in other places in memory give another one, and
// are remembered twice.
func mix(kv *attribute.KeyValue) uint64 {
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
	return h * 0x9E3779B97F4A7C15 >> (64 - 9)
}

// address returns where in memory a string is.
func address(s string) uint64 {
	return uint64(uintptr(unsafe.Pointer(unsafe.StringData(s)))) //nolint:gosec // a number to tell strings apart by
}
