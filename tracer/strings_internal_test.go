// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/crau-otel/crau-otel/bpf"
	"github.com/crau-otel/crau-otel/tracer/event"
)

const (
	ownerStrings  = maxStrings / ownerShare
	sharedStrings = maxStrings - ownerStrings
)

func TestRoom(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		content []byte
		want    uint32
	}{
		{nil, 0},
		{[]byte("a"), 0},
		{[]byte("\x00"), 1},
		{[]byte("abc\x00"), 4},
		{[]byte("abc\x00de"), 4},
		{bytes.Repeat([]byte("a"), 256), 0},
		{bytes.Repeat([]byte("a"), 257), 1},
		{append([]byte("\x00"), bytes.Repeat([]byte("a"), 257)...), 2},
		{append(bytes.Repeat([]byte("a"), 300), 0), 301},
	} {
		if got := room(c.content); got != c.want {
			t.Errorf("%d bytes: a string can start in %d, want %d", len(c.content), got, c.want)
		}
	}
}

func TestStringsAreFoundByOffset(t *testing.T) {
	t.Parallel()
	s := newStringTable()
	if err := s.add(1, "", 0x1000, []byte("one\x00")); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[uint32]bpf.AuditCrauSpec{
		1: {File: 1, Strings: 0x1000, StringsLen: 4},
		2: {File: 2},
	} {
		for cookie := range uint32(2) {
			spec := bpf.AuditCrauSpec{File: file, Strings: 1, StringsLen: 1}
			if s.use(10*file+cookie, &spec); spec != want {
				t.Errorf("file %d: the site has %+v, want %+v", file, spec, want)
			}
		}
	}
	if got, ok := s.find(1, 2); string(got) != "e\x00" || !ok {
		t.Errorf("found %q, %v", got, ok)
	}
	for _, c := range [][2]uint32{{1, 4}, {1, 1<<32 - 1}, {2, 0}, {3, 0}} {
		if got, ok := s.find(c[0], c[1]); ok {
			t.Errorf("file %d has %q at %d", c[0], got, c[1])
		}
	}

	s.leave(10)
	s.leave(20)
	s.leave(99)
	if len(s.released) != 0 {
		t.Errorf("released %v, which has a site", s.released)
	}
	s.leave(11)
	s.leave(11)
	if !slices.Equal(s.released, []uint32{1}) {
		t.Errorf("released %v, want file 1", s.released)
	}
	if _, ok := s.find(1, 0); !ok {
		t.Error("the strings are gone before the ring was read")
	}
	// A file number that is reused does not get the strings of another file.
	again := bpf.AuditCrauSpec{File: 1}
	if s.use(12, &again); again != (bpf.AuditCrauSpec{File: 1}) {
		t.Errorf("a site added after the last one was removed refers to strings: %+v", again)
	}
	if err := s.add(1, "", 0x2000, []byte("two\x00")); err == nil {
		t.Error("two files have one number")
	}
	s.leave(12)
	s.forget([]uint32{1, 1, 7})
	if _, ok := s.find(1, 0); ok || s.size != 0 || len(s.files) != 0 || len(s.sites) != 0 {
		t.Errorf("left are %d bytes, %v, %v", s.size, s.files, s.sites)
	}
}

// A remembered string is returned only for the same file, offset and limit.
func TestStringsAreRemembered(t *testing.T) {
	t.Parallel()
	s := newStringTable()
	find := func(file, offset uint32, limit int, want string, wantCut, wantOK bool) {
		t.Helper()
		for range 2 {
			got, cut, ok := s.text(file, offset, limit)
			if string(got) != want || cut != wantCut || ok != wantOK || ok != (got != nil) {
				t.Errorf("file %d has %q (cut: %v, found: %v) at %d up to %d", file, got, cut, ok, offset, limit)
			}
		}
	}
	find(1, 0, 9, "", false, false)
	if err := errors.Join(s.used(1, "", []byte("one\x00\x00three\x00")), s.used(2, "", []byte("two\x00"))); err != nil {
		t.Fatal(err)
	}
	find(1, 0, 9, "one", false, true)
	find(1, 0, 3, "one", false, true)
	find(1, 0, 2, "on", true, true)
	find(1, 4, 9, "", false, true)
	find(1, 5, 9, "three", false, true)
	find(2, 0, 9, "two", false, true)
	find(2, 4, 9, "", false, false)
	s.leave(1)
	s.forget([]uint32{1})
	find(1, 0, 9, "", false, false)
	if err := s.used(1, "", []byte("other\x00")); err != nil {
		t.Fatal(err)
	}
	find(1, 0, 9, "other", false, true)
	find(2, 0, 9, "two", false, true)
}

// used adds a file's strings and a site that refers to them.
func (s *stringTable) used(file uint32, owner string, content []byte) error {
	err := s.add(file, owner, 0, content)
	s.use(file, &bpf.AuditCrauSpec{File: file})
	return err
}

func TestStringTableIsBounded(t *testing.T) {
	t.Parallel()
	s := newStringTable()
	half := make([]byte, maxStrings/2)
	for file := range uint32(2) {
		if err := s.used(file, "", half); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.used(2, "", []byte("x")); !errors.Is(err, ErrTooManyStrings) {
		t.Errorf("error is %v", err)
	}
	s.leave(1)
	s.forget(s.released)
	if err := s.used(3, "", half[:8]); err != nil {
		t.Error(err)
	}
	if err := s.used(4, "", half[8:]); err != nil {
		t.Error(err)
	}
	if s.size != maxStrings {
		t.Errorf("%d bytes, want %d", s.size, maxStrings)
	}
}

// The files of one owner cannot exceed the owner's share, and the files of all owners leave room for files of root.
func TestStringTableHasSharesForOwners(t *testing.T) {
	t.Parallel()
	s := newStringTable()
	for file, c := range []struct {
		owner string
		bytes int
		room  bool
	}{
		{"/user-1.slice", ownerStrings, true},
		{"/user-1.slice", 1, false},
		{"/user-2.slice", ownerStrings, true},
		{"/user-3.slice", ownerStrings - 1, true},
		{"/user-4.slice", 2, false},
		{"/user-4.slice", 1, true},
		{"", maxStrings - sharedStrings, true},
		{"", 1, false},
	} {
		if err := s.used(uint32(file), c.owner, make([]byte, c.bytes)); (err == nil) != c.room {
			t.Errorf("%d: %d bytes of %q: %v", file, c.bytes, c.owner, err)
		}
	}
	s.leave(0)
	s.forget(s.released)
	if err := s.used(100, "/user-5.slice", make([]byte, ownerStrings)); err != nil {
		t.Error(err)
	}
}

// Files that could not be attached after their strings were added do not use up the room.
func TestStringTableDropsUnusedFiles(t *testing.T) {
	t.Parallel()
	s := newStringTable()
	for file := range uint32(10) {
		if err := s.add(file, "/user-1.slice", 0, make([]byte, ownerStrings)); err != nil {
			t.Fatalf("file %d: %v", file, err)
		}
	}
	if len(s.files) != 1 || s.size != ownerStrings || s.owned["/user-1.slice"] != ownerStrings {
		t.Errorf("%d files of %d bytes, owners %v", len(s.files), s.size, s.owned)
	}
}

// record encodes a record with one pair.
func record(t testing.TB, file uint32, pair bpf.AuditCrauPair, key string) []byte {
	t.Helper()
	head := bpf.AuditCrauRecord{File: file, Kind: uint8(bpf.AuditCrauKindCRAU_DATA), Pairs: 1}
	pair.KeyLen = uint16(len(key))
	b, err := binary.Append(nil, binary.LittleEndian, head)
	if err == nil {
		b, err = binary.Append(b, binary.LittleEndian, pair)
	}
	if err != nil {
		t.Fatal(err)
	}
	return append(b, key...)
}

// An offset outside a file's strings is an error. It neither causes a panic nor returns a string of another file.
func TestDecodeUnknownStrings(t *testing.T) {
	t.Parallel()
	s := newStringTable()
	if err := s.add(1, "", 0, []byte("key\x00value\x00")); err != nil {
		t.Fatal(err)
	}
	both := uint8(keyOffset | valueOffset)
	good := record(t, 1, bpf.AuditCrauPair{Type: 1, Flags: both, Word: 4}, "\x00\x00\x00\x00")
	var ev event.Event
	if err := decode(good, &ev, s); err != nil || string(ev.Pairs[0].Key) != "key" || string(ev.Pairs[0].Value) != "value" ||
		ev.Pairs[0].Flags != 0 || ev.Pairs[0].Word != 0 || ev.Flags != 0 {
		t.Errorf("got %+v, %v", ev, err)
	}
	compact := record(t, 1, bpf.AuditCrauPair{Type: 1, Flags: both, Word: 4, ValueLen: 0}, "")
	if err := decode(compact, &ev, s); err != nil || string(ev.Pairs[0].Key) != "key" || string(ev.Pairs[0].Value) != "value" {
		t.Errorf("with the key's offset in place of the value's length: %+v, %v", ev, err)
	}
	_ = append(ev.Pairs[0].Key, "overwritten"...)
	if content, _ := s.find(1, 0); string(content) != "key\x00value\x00" {
		t.Errorf("what a handler appends to a key changed the file's strings: %q", content)
	}
	if err := Decode(good, &ev); !errors.Is(err, errNoString) {
		t.Errorf("without any strings: %v", err)
	}
	for name, c := range map[string]struct {
		sample []byte
		want   error
	}{
		"another file":         {record(t, 2, bpf.AuditCrauPair{Type: 1, Flags: both, Word: 4}, "\x00\x00\x00\x00"), errNoString},
		"key behind the end":   {record(t, 1, bpf.AuditCrauPair{Flags: both}, "\x0a\x00\x00\x00"), errNoString},
		"value behind the end": {record(t, 1, bpf.AuditCrauPair{Flags: both, Word: 10}, "\x00\x00\x00\x00"), errNoString},
		"an offset of 3 bytes": {record(t, 1, bpf.AuditCrauPair{Flags: both}, "\x00\x00\x00"), errShort},
		"an offset of 5 bytes": {record(t, 1, bpf.AuditCrauPair{Flags: both}, "\x00\x00\x00\x00\x00"), errShort},
		"no key and no offset": {record(t, 1, bpf.AuditCrauPair{Flags: both, ValueLen: 10}, ""), errNoString},
	} {
		if err := decode(c.sample, &ev, s); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// A short record becomes the same event as a long one with the same content.
func TestDecodeShort(t *testing.T) {
	t.Parallel()
	s := newStringTable()
	long := strings.Repeat("l", 300)
	if err := s.add(3, "", 0, []byte("key\x00value\x00"+long+"\x00")); err != nil {
		t.Fatal(err)
	}
	const key, value, longText = 0, 4, 10
	encode := func(short bpf.AuditCrauShort) []byte {
		b, err := binary.Append(nil, binary.LittleEndian, short)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	short := bpf.AuditCrauShort{
		Time: 1, Context: 2, Word: value, Tgid: 4, Tid: 5, File: 3, Kind: uint8(bpf.AuditCrauKindCRAU_SHORT), Key: key, Lost: 1<<32 - 1,
	}
	want := event.Event{Kind: event.Data, Time: 1, Context: 2, PID: 4, TID: 5, File: 3, Lost: 1<<32 - 1}
	for name, c := range map[string]struct {
		typ   bpf.AuditCrauPairType
		key   uint32
		word  uint64
		pair  event.Pair
		flags event.Flags
		err   string
	}{
		"word":        {word: 1<<64 - 1, pair: event.Pair{Key: []byte("key"), Word: 1<<64 - 1}},
		"string":      {typ: 1, word: value, pair: event.Pair{Key: []byte("key"), Value: []byte("value"), Type: event.String}},
		"long string": {typ: 1, word: longText, pair: event.Pair{Key: []byte("key"), Value: []byte(long[:256]), Type: event.String, Flags: event.Cut}, flags: event.Cut},
		"long key":    {key: longText, word: 7, pair: event.Pair{Key: []byte(long[:62]), Word: 7, Flags: event.KeyCut}, flags: event.KeyCut},
		"blob":        {typ: 2, err: "decode short record: unknown value type 2"},
		"type 256":    {typ: 256, err: "decode short record: unknown value type 256"},
		"no key":      {key: 1 << 20, err: "decode short record: no copy of the file's strings at that offset"},
		"no string":   {typ: 1, word: 1 << 20, err: "decode short record: no copy of the file's strings at that offset"},
	} {
		record := short
		record.Type, record.Key, record.Word = uint16(c.typ), c.key, c.word
		var got event.Event
		err := decode(encode(record), &got, s)
		if c.err != "" {
			if err == nil || err.Error() != c.err {
				t.Errorf("%s: error is %v, want %s", name, err, c.err)
			}
			continue
		}
		want := want
		want.Flags, want.Pairs = c.flags, []event.Pair{c.pair}
		if err != nil || fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
			t.Errorf("%s: got %+v, %v, want %+v", name, got, err, want)
		}
	}
	if err := Decode(encode(short), &event.Event{}); !errors.Is(err, errNoString) {
		t.Errorf("without any strings: %v", err)
	}
}

func TestDecodeStringsDoesNotAllocate(t *testing.T) {
	s := newStringTable()
	if err := s.add(1, "", 0, []byte("key\x00value\x00")); err != nil {
		t.Fatal(err)
	}
	sample := record(t, 1, bpf.AuditCrauPair{Type: 1, Flags: uint8(keyOffset | valueOffset), Word: 4}, "\x00\x00\x00\x00")
	ev := event.Event{Pairs: make([]event.Pair, 0, 16)}
	if n := testing.AllocsPerRun(100, func() {
		if err := decode(sample, &ev, s); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations a record", n)
	}
}
