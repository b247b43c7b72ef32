// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"encoding/hex"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
	"unsafe"

	"go.opentelemetry.io/otel/attribute"

	"github.com/crau-otel/crau-otel/mapping/registry"
	"github.com/crau-otel/crau-otel/tracer/event"
)

// nameKey is the key under which a context's name comes.
const nameKey = "name"

// keyID tells the keys apart that mean something to the mapping.
type keyID uint8

const (
	keyOther keyID = iota
	keyTLSRole
	keyTLSProtocolVersion
	keyTLSCipherSuite
	keyTLSExtendedMasterSecret
	keyTLSGroup
	keyTLSSignatureAlgorithm
	keyTLSKeyExchangeAlgorithm
	keyPKAlgorithm
	keyPKCurve
	keyPKGroup
	keyPKBits
	keyPKHash
	keyPKStatic
	keySSHRole
	keySSHKexAlgorithm
	keySSHKeyAlgorithm
	keySSHRSABits
)

var keyIDs = map[string]keyID{
	"tls::role":                        keyTLSRole,
	"tls::protocol_version":            keyTLSProtocolVersion,
	"tls::ciphersuite":                 keyTLSCipherSuite,
	"tls::extended_master_secret":      keyTLSExtendedMasterSecret,
	"tls::ext::extended_master_secret": keyTLSExtendedMasterSecret,
	"tls::group":                       keyTLSGroup,
	"tls::signature_algorithm":         keyTLSSignatureAlgorithm,
	"tls::key_exchange_algorithm":      keyTLSKeyExchangeAlgorithm,
	"pk::algorithm":                    keyPKAlgorithm,
	"pk::curve":                        keyPKCurve,
	"pk::group":                        keyPKGroup,
	"pk::bits":                         keyPKBits,
	"pk::hash":                         keyPKHash,
	"pk::static":                       keyPKStatic,
	"ssh::role":                        keySSHRole,
	"ssh::kex_algorithm":               keySSHKexAlgorithm,
	"ssh::key_algorithm":               keySSHKeyAlgorithm,
	"ssh::rsa_bits":                    keySSHRSABits,
}

// key is an event key as emitted and as an attribute.
type key struct {
	emitted string    // tls::group
	attr    string    // tls.group
	owners  schemaSet // that have the key
	id      keyID
	left    bool // to be left out, by configuration
	kept    bool // one copy serves all
}

// datum is one key of a context with its value.
type datum struct {
	key  *key
	text string // strings and blobs, readable
	word uint64
	kind event.Type
	flag event.Flags
}

// size returns about how much memory the datum takes, in bytes.
func (d *datum) size() int {
	n := int(unsafe.Sizeof(*d)) + len(d.text)
	if !d.key.kept {
		n += int(unsafe.Sizeof(*d.key)) + 2*len(d.key.emitted)
	}
	return n
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
	left  func(emitted string) bool

	// What the maps gave lately, by a few bytes of what was looked up.
	recentKeys  [recent]recentKey
	recentTexts [recent]recentText
	recentNames [recent]recentName
}

// recent is how many keys and texts are found without a map; a power of two.
const recent = 256

type recentKey struct {
	raw string
	key *key
}

type recentText struct{ raw, text string }

type recentName struct {
	raw  string
	name title
}

// title is the name of a context, and its schema if it is registered.
type title struct {
	text   string // "" if there is none
	schema *schema
}

// place returns where in the recent ones b belongs.
func place(b []byte) int {
	n := len(b)
	if n == 0 {
		return 0
	}
	return (n ^ int(b[n-1])<<1 ^ int(b[n/2])<<2 ^ int(b[0])<<4) % recent
}

func newInterner(left func(emitted string) bool) interner {
	return interner{keys: make(map[string]*key), texts: make(map[string]string), left: left}
}

func (in *interner) key(b []byte) *key {
	r := &in.recentKeys[place(b)]
	if r.key != nil && r.raw == string(b) {
		return r.key
	}
	if k, ok := in.keys[string(b)]; ok {
		*r = recentKey{string(b), k}
		return k
	}
	emitted := readable(b)
	k := &key{
		emitted: emitted, attr: strings.ReplaceAll(emitted, "::", "."), owners: owners[emitted], id: keyIDs[emitted],
		left: in.left(emitted),
	}
	if len(in.keys) < maxKeys {
		k.kept = true
		in.keys[string(b)] = k
	}
	return k
}

// reconsider asks anew which of the known keys are to be left out.
func (in *interner) reconsider() {
	for _, k := range in.keys {
		k.left = in.left(k.emitted)
	}
}

func (in *interner) text(b []byte) string {
	r := &in.recentTexts[place(b)]
	if r.raw == string(b) {
		return r.text
	}
	if s, ok := in.texts[string(b)]; ok {
		*r = recentText{string(b), s}
		return s
	}
	s := readable(b)
	if len(b) <= maxTextLength && len(in.texts) < maxTexts {
		in.texts[string(b)] = s
	}
	return s
}

func (in *interner) name(b []byte) title {
	r := &in.recentNames[place(b)]
	if r.raw == string(b) {
		return r.name
	}
	text := in.text(b)
	name := title{text, schemas[text]}
	if len(b) <= maxTextLength {
		*r = recentName{string(b), name}
	}
	return name
}

// datum takes over what pair says; nothing of it points into the pair.
func (in *interner) datum(k *key, pair *event.Pair) datum {
	d := datum{key: k, word: pair.Word, kind: pair.Type, flag: pair.Flags}
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

// appendTo appends the attributes that the datum stands for: names beside codepoints, booleans, else key and value.
func (d *datum) appendTo(attrs []attribute.KeyValue) []attribute.KeyValue {
	if d.kind != event.Word {
		if d.key.id == keyTLSRole {
			return append(attrs, attrTLSRole.String(d.text))
		}
		return append(attrs, attribute.KeyValue{Key: attribute.Key(d.key.attr), Value: d.value()})
	}
	id := attribute.KeyValue{Value: d.value()}
	switch d.key.id {
	case keyTLSGroup:
		id.Key = attrTLSGroupID
		return appendGroup(append(attrs, id), registry.TLSGroup(d.word))
	case keyTLSSignatureAlgorithm:
		id.Key = attrTLSSignatureSchemeID
		return append(attrs, id, attrTLSSignatureSchemeName.String(registry.TLSSignatureScheme(d.word).Name))
	case keyTLSCipherSuite:
		id.Key = attrTLSCipherSuiteID
		return append(attrs, id, attrTLSCipher.String(registry.TLSCipherSuite(d.word).Name))
	case keyTLSProtocolVersion:
		id.Key = attrTLSProtocolVersionID
		v := registry.TLSVersion(d.word)
		return append(attrs, id, attrTLSProtocolName.String(v.Protocol), attrTLSProtocolVersion.String(v.Name))
	case keyTLSExtendedMasterSecret:
		return append(attrs, attrTLSExtendedMasterSecret.Bool(d.word != 0))
	case keyTLSKeyExchangeAlgorithm:
		name, _, _ := registry.TLSKeyExchangeAlgorithm(d.word)
		return append(attrs, attrTLSKeyExchangeAlgorithm.String(name))
	case keyPKStatic:
		return append(attrs, attrPKStatic.Bool(d.word != 0))
	}
	id.Key = attribute.Key(d.key.attr)
	return append(attrs, id)
}

func appendGroup(attrs []attribute.KeyValue, g registry.Group) []attribute.KeyValue {
	attrs = append(attrs, attrTLSGroupName.String(g.Name))
	if g.Curve != "" {
		attrs = append(attrs, attrTLSCurve.String(g.Curve))
	}
	return attrs
}

// get returns the context's value for a key that means something, nil if it has none.
func (n *node) get(id keyID) *datum {
	for i := range n.data {
		if n.data[i].key.id == id && n.data[i].flag&event.Fault == 0 {
			return &n.data[i]
		}
	}
	return nil
}

// word returns the context's number for a key.
func (n *node) word(id keyID) (uint64, bool) {
	if d := n.get(id); d != nil && d.kind == event.Word {
		return d.word, true
	}
	return 0, false
}

// text returns the context's text for a key, "" if it has none.
func (n *node) text(id keyID) string {
	if d := n.get(id); d != nil && d.kind == event.String {
		return d.text
	}
	return ""
}
