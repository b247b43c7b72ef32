// SPDX-License-Identifier: Apache-2.0

package shape

import (
	"encoding/hex"
	"unsafe"

	"github.com/crau-otel/crau-otel/mapping/schema"
	"github.com/crau-otel/crau-otel/tracer/event"
)

// Datum is one key of a context with its value. Two data are equal only if they share the pointer to the key, as
// interned keys do.
type Datum struct {
	Key   *schema.Key
	Text  string // a string, or a blob in hexadecimal; valid UTF-8
	Word  uint64
	Type  event.Type
	Flags event.Flags

	// Foreign is set if a file other than the context's opener added the datum. File is that file, otherwise 0.
	Foreign bool
	File    uint32
}

// Size returns approximately how much memory the datum takes, in bytes.
func (d *Datum) Size() int {
	n := int(unsafe.Sizeof(*d)) + len(d.Text)
	if !d.Key.Interned {
		n += int(unsafe.Sizeof(*d.Key)) + 2*len(d.Key.Emitted)
	}
	return n
}

// Find returns the datum of a key whose value is readable, or nil. Foreign data are skipped. The caller has to know
// whether the context lists the key.
func Find(data []Datum, id schema.KeyID) *Datum {
	for i := range data {
		if data[i].Key.ID == id && data[i].Flags&event.Fault == 0 && !data[i].Foreign {
			return &data[i]
		}
	}
	return nil
}

// Codepoints returns the 16-bit numbers in a blob, which are in network byte order.
func Codepoints(d *Datum) []uint64 {
	raw, err := hex.DecodeString(d.Text)
	if err != nil || d.Type != event.Blob {
		return nil
	}
	var ids []uint64
	for ; len(raw) >= 2; raw = raw[2:] {
		ids = append(ids, uint64(raw[0])<<8|uint64(raw[1]))
	}
	return ids
}

// Role returns which side a program was in a handshake, from its data, else from its name; "" if neither shows it.
func Role(name schema.Name, data []Datum) string {
	if d := Find(data, schema.KeyTLSRole); d != nil && name.Context.Interprets(d.Key) {
		return d.Text
	}
	if d := Find(data, schema.KeySSHRole); d != nil {
		return d.Text
	}
	if name.Context != nil {
		return name.Context.Role
	}
	return ""
}
