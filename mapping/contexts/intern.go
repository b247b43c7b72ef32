// SPDX-License-Identifier: Apache-2.0

package contexts

import (
	"encoding/hex"

	"github.com/crau-otel/crau-otel/mapping/memo"
	"github.com/crau-otel/crau-otel/mapping/schema"
	"github.com/crau-otel/crau-otel/mapping/shape"
	"github.com/crau-otel/crau-otel/mapping/text"
	"github.com/crau-otel/crau-otel/tracer/event"
)

// Limits on what is interned, so that a program that invents keys and values cannot exhaust the memory.
const (
	maxKeys       = 4096
	maxTexts      = 4096
	maxTextLength = 64
)

// interner keeps one copy of the keys and short texts that repeat.
type interner struct {
	keys     map[string]*eventKey
	texts    map[string]string
	excluded func(emitted string) bool

	// Caches of recent lookups, which are faster than a lookup in a map.
	recentKeys  memo.Table[string, *eventKey]
	recentTexts memo.Table[string, string]
	recentNames memo.Table[string, schema.Name]
	recentBlobs memo.Table[string, string]
}

// eventKey is an event key, with the result of Config.Excluded.
type eventKey struct {
	schema.Key
	excluded bool
	onWire   *schema.Key // meaning of the key if package wire emits it; nil if it has the same meaning
}

// of returns the key with the meaning that it has in ev, which depends on whether package wire emitted ev.
func (k *eventKey) of(ev *event.Event) *schema.Key {
	if k.onWire != nil && fromWire(ev) {
		return k.onWire
	}
	return &k.Key
}

const recent = 256

func newInterner(excluded func(emitted string) bool) interner {
	return interner{
		keys:        make(map[string]*eventKey),
		texts:       make(map[string]string),
		excluded:    excluded,
		recentKeys:  memo.New[string, *eventKey](recent),
		recentTexts: memo.New[string, string](recent),
		recentNames: memo.New[string, schema.Name](recent),
		recentBlobs: memo.New[string, string](recent),
	}
}

func (in *interner) key(b []byte) *eventKey {
	hash := memo.Sample(b)
	if k := memo.GetBytes(&in.recentKeys, hash, b); k != nil {
		return *k
	}
	if k, ok := in.keys[string(b)]; ok {
		in.recentKeys.Put(hash, string(b), k)
		return k
	}
	emitted := text.Name(b)
	if emitted != string(b) {
		return in.key([]byte(emitted)) // a key that a program emits in escaped form is the same key
	}
	k := &eventKey{Key: schema.NewKey(emitted), excluded: in.excluded(emitted)}
	if onWire, ok := schema.NewWireKey(emitted); ok {
		k.onWire = &onWire
	}
	if len(in.keys) < maxKeys {
		k.Interned = true
		if k.onWire != nil {
			k.onWire.Interned = true
		}
		in.keys[emitted] = k
	}
	return k
}

// reconsider determines again which of the interned keys are excluded.
func (in *interner) reconsider() {
	for _, k := range in.keys {
		k.excluded = in.excluded(k.Emitted)
	}
}

func (in *interner) text(b []byte) string {
	hash := memo.Sample(b)
	if s := memo.GetBytes(&in.recentTexts, hash, b); s != nil {
		return *s
	}
	if s, ok := in.texts[string(b)]; ok {
		in.recentTexts.Put(hash, string(b), s)
		return s
	}
	s := text.Valid(b)
	if len(b) <= maxTextLength && len(in.texts) < maxTexts {
		in.texts[string(b)] = s
	}
	return s
}

func (in *interner) name(b []byte) schema.Name {
	hash := memo.Sample(b)
	if name := memo.GetBytes(&in.recentNames, hash, b); name != nil {
		return *name
	}
	name := schema.NameOf(text.Name(in.text(b)))
	if len(b) <= maxTextLength {
		in.recentNames.Put(hash, string(b), name)
	}
	return name
}

// blob returns bytes in hexadecimal. Recent short results are cached, because lists of codepoints repeat. Longer blobs,
// such as keys, do not repeat.
func (in *interner) blob(b []byte) string {
	if len(b) > maxTextLength {
		return hex.EncodeToString(b)
	}
	hash := memo.Sample(b)
	if s := memo.GetBytes(&in.recentBlobs, hash, b); s != nil {
		return *s
	}
	s := hex.EncodeToString(b)
	in.recentBlobs.Put(hash, string(b), s)
	return s
}

// datum returns the pair as a datum that shares no memory with the event.
func (in *interner) datum(k *schema.Key, pair *event.Pair) shape.Datum {
	d := shape.Datum{Key: k, Word: pair.Word, Type: pair.Type, Flags: pair.Flags}
	switch pair.Type {
	case event.String:
		d.Text = in.text(pair.Value)
	case event.Blob:
		d.Text = in.blob(pair.Value)
	case event.Word:
	}
	return d
}
