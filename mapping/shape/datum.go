// SPDX-License-Identifier: Apache-2.0

package shape

import (
	"encoding/hex"
	"unsafe"

	"github.com/crau-otel/crau-otel/mapping/schema"
	"github.com/crau-otel/crau-otel/tracer/event"
)

// Datum is one key of a context with its value. With ==, two data are equal only if their Key pointers are, which is
// the case for interned keys.
type Datum struct {
	Key   *schema.Key
	Text  string // value of type event.String as valid UTF-8, or of type event.Blob in hexadecimal
	Word  uint64
	Type  event.Type
	Flags event.Flags

	// Foreign is set if the datum is from another file than the one that opened the context. File is that other file's
	// number; 0 if Foreign is not set.
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

// Find returns the datum with the key, or nil. Foreign data and unreadable values are skipped. Find does not check
// whether the key has a meaning in the context; the caller must.
func Find(data []Datum, id schema.KeyID) *Datum {
	for i := range data {
		if data[i].Key.ID == id && data[i].Flags&event.Fault == 0 && !data[i].Foreign {
			return &data[i]
		}
	}
	return nil
}

// Codepoints returns the 16-bit numbers in a blob, where they are in network byte order. It returns nil for other
// types.
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

// Role returns the role of a program in a handshake, such as "client". It is taken from the handshake's data, else from
// its name; "" if neither has it.
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
