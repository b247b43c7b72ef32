// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"encoding/hex"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.opentelemetry.io/otel/attribute"

	"github.com/crau-otel/crau-otel/tracer/event"
)

// nameKey is the key under which a context's name comes.
const nameKey = "name"

// key is an event key as emitted and as an attribute.
type key struct {
	emitted string // tls::group
	attr    string // tls.group
}

// datum is one key of a context with its value.
type datum struct {
	key  *key
	text string // strings and blobs, readable
	word uint64
	kind event.Type
	flag event.Flags
}

// intern limits, so that a program that makes up keys and values costs time and not memory.
const (
	maxKeys       = 4096
	maxTexts      = 4096
	maxTextLength = 64
)

// interner keeps one copy of the keys and short texts that come again and again.
type interner struct {
	keys  map[string]*key
	texts map[string]string
}

func newInterner() interner {
	return interner{keys: make(map[string]*key), texts: make(map[string]string)}
}

func (in *interner) key(b []byte) *key {
	if k, ok := in.keys[string(b)]; ok {
		return k
	}
	emitted := readable(b)
	k := &key{emitted: emitted, attr: strings.ReplaceAll(emitted, "::", ".")}
	if len(in.keys) < maxKeys {
		in.keys[string(b)] = k
	}
	return k
}

func (in *interner) text(b []byte) string {
	if s, ok := in.texts[string(b)]; ok {
		return s
	}
	s := readable(b)
	if len(b) <= maxTextLength && len(in.texts) < maxTexts {
		in.texts[string(b)] = s
	}
	return s
}

// datum takes over what pair says; nothing of it points into the pair.
func (in *interner) datum(pair *event.Pair) datum {
	d := datum{key: in.key(pair.Key), word: pair.Word, kind: pair.Type, flag: pair.Flags}
	switch pair.Type {
	case event.String:
		d.text = in.text(pair.Value)
	case event.Blob:
		d.text = hex.EncodeToString(pair.Value)
	case event.Word:
	}
	return d
}

// readable returns b as text; bytes that are no UTF-8 become \xHH.
func readable(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}
	var sb strings.Builder
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if r == utf8.RuneError && n <= 1 {
			sb.WriteString(`\x`)
			sb.WriteString(hex.EncodeToString(b[:1]))
		} else {
			sb.Write(b[:n])
		}
		b = b[n:]
	}
	return sb.String()
}

// value returns the datum as an attribute's value: an integer stays one if it fits 64 bits with a sign.
func (d *datum) value() attribute.Value {
	if d.kind != event.Word {
		return attribute.StringValue(d.text)
	}
	if d.word > math.MaxInt64 {
		return attribute.StringValue(strconv.FormatUint(d.word, 10))
	}
	return attribute.Int64Value(int64(d.word))
}
