// SPDX-License-Identifier: Apache-2.0

package tracer_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/crau-otel/crau-otel/bpf"
	"github.com/crau-otel/crau-otel/tracer"
	"github.com/crau-otel/crau-otel/tracer/event"
)

const (
	maxPairs = int(bpf.AuditCrauLimitCRAU_MAX_PAIRS)
	maxKey   = int(bpf.AuditCrauLimitCRAU_MAX_KEY)
	maxValue = int(bpf.AuditCrauLimitCRAU_MAX_VALUE)
)

var headSize, pairSize = binary.Size(bpf.AuditCrauRecord{}), binary.Size(bpf.AuditCrauPair{})

// The documentation for users states these limits, so it must change with them.
func TestLimitsAreThoseOfTheDocumentation(t *testing.T) {
	if maxPairs != 16 || maxKey != 62 || maxValue != 256 {
		t.Errorf("limits are %d pairs, %d bytes of key, %d of value; want 16, 62, 256", maxPairs, maxKey, maxValue)
	}
}

func head(kind bpf.AuditCrauKind, flags event.Flags, pairs int) bpf.AuditCrauRecord {
	return bpf.AuditCrauRecord{
		Time: 1_000_000_007, Context: 0xfeed_beef_0000_0001, Parent: event.NoParent, Tgid: 4711, Tid: 4712, File: 3,
		Kind: uint8(kind), Flags: uint8(flags), Pairs: uint16(pairs), Lost: 5,
	}
}

// encode encodes a record as the BPF program does.
func encode(t testing.TB, record bpf.AuditCrauRecord, pairs ...event.Pair) []byte {
	t.Helper()
	b, err := binary.Append(nil, binary.LittleEndian, record)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range pairs {
		b, err = binary.Append(b, binary.LittleEndian, bpf.AuditCrauPair{
			Word: p.Word, ValueLen: uint32(len(p.Value)), KeyLen: uint16(len(p.Key)), Type: uint8(p.Type), Flags: uint8(p.Flags),
		})
		if err != nil {
			t.Fatal(err)
		}
		b = append(append(b, p.Key...), p.Value...)
		b = append(b, make([]byte, -len(b)&7)...)
	}
	return b
}

func word(key string, v uint64) event.Pair {
	return event.Pair{Key: []byte(key), Word: v, Value: []byte{}}
}

func text(key, v string) event.Pair {
	return event.Pair{Key: []byte(key), Value: []byte(v), Type: event.String}
}

func blob(key, v string, size uint64, flags event.Flags) event.Pair {
	return event.Pair{Key: []byte(key), Value: []byte(v), Word: size, Type: event.Blob, Flags: flags}
}

func TestDecodeKinds(t *testing.T) {
	pairs := []event.Pair{
		word("tls::group", 4588), text("name", "tls::handshake"), text("", ""), blob("test::blob", "\x00\xff", 300, event.Cut),
		{Key: []byte("test::gone"), Value: []byte{}, Type: event.String, Flags: event.Fault},
	}
	for kind, want := range map[bpf.AuditCrauKind]event.Kind{
		bpf.AuditCrauKindCRAU_NEW_CONTEXT:           event.NewContext,
		bpf.AuditCrauKindCRAU_WORD_DATA:             event.Data,
		bpf.AuditCrauKindCRAU_STRING_DATA:           event.Data,
		bpf.AuditCrauKindCRAU_BLOB_DATA:             event.Data,
		bpf.AuditCrauKindCRAU_DATA:                  event.Data,
		bpf.AuditCrauKindCRAU_NEW_CONTEXT_WITH_DATA: event.NewContext,
		bpf.AuditCrauKindCRAU_SESSION_ENTER:         event.SessionEnter,
		bpf.AuditCrauKindCRAU_SESSION_LEAVE:         event.SessionLeave,
		bpf.AuditCrauKindCRAU_EXIT:                  event.ProcessExit,
	} {
		var ev event.Event
		if err := tracer.Decode(encode(t, head(kind, event.Lost|event.Cut, len(pairs)), pairs...), &ev); err != nil {
			t.Errorf("kind %d: %v", kind, err)
			continue
		}
		wantEvent := event.Event{
			Kind: want, Time: 1_000_000_007, Context: 0xfeed_beef_0000_0001, Parent: event.NoParent, PID: 4711, TID: 4712,
			File: 3, Flags: event.Lost | event.Cut, Lost: 5, Pairs: pairs,
		}
		if !reflect.DeepEqual(ev, wantEvent) {
			t.Errorf("kind %d: got %+v, want %+v", kind, ev, wantEvent)
		}
	}
}

func TestDecodeUnknown(t *testing.T) {
	for _, c := range []struct {
		kind bpf.AuditCrauKind
		typ  event.Type
		want string
	}{
		{kind: 0, want: "decode record: unknown kind 0"},
		{kind: bpf.AuditCrauKindCRAU_EXIT + 1, want: "decode record: unknown kind 11"},
		{kind: 255, want: "decode record: unknown kind 255"},
		{kind: bpf.AuditCrauKindCRAU_DATA, typ: event.Blob + 1, want: "decode pair 2 of 2: unknown value type 3"},
		{kind: bpf.AuditCrauKindCRAU_DATA, typ: 255, want: "decode pair 2 of 2: unknown value type 255"},
	} {
		sample := encode(t, head(c.kind, 0, 2), word("k", 1), event.Pair{Key: []byte("k"), Type: c.typ})
		if err := tracer.Decode(sample, &event.Event{}); err == nil || err.Error() != c.want {
			t.Errorf("error is %v, want %s", err, c.want)
		}
	}
}

func TestDecodeLimits(t *testing.T) {
	for _, c := range []struct {
		pairs, key, value int
		want              string // text in the error
	}{
		{pairs: 0},
		{pairs: 1, key: 0, value: 0},
		{pairs: maxPairs - 1, key: 5, value: 5},
		{pairs: maxPairs, key: maxKey, value: maxValue},
		{pairs: maxPairs + 1, want: "decode record: 17 pairs, the limit is 16"},
		{pairs: 1<<16 - 1, want: "decode record: 65535 pairs, the limit is 16"},
		{pairs: 1, key: maxKey - 1, value: 1},
		{pairs: 1, key: maxKey, value: 1},
		{pairs: 1, key: maxKey + 1, value: 1, want: "decode pair 1 of 1: a key of 63 and a value of 1 bytes are over the limit"},
		{pairs: 1, key: 1, value: maxValue - 1},
		{pairs: 1, key: 1, value: maxValue},
		{
			pairs: 1, key: 1, value: maxValue + 1,
			want: "decode pair 1 of 1: a key of 1 and a value of 257 bytes are over the limit",
		},
	} {
		t.Run(fmt.Sprintf("%d pairs of %d and %d", c.pairs, c.key, c.value), func(t *testing.T) {
			pairs := make([]event.Pair, min(c.pairs, maxPairs+1))
			for i := range pairs {
				pairs[i] = text(strings.Repeat(string(rune('a'+i)), c.key), strings.Repeat("v", c.value))
			}
			var ev event.Event
			err := tracer.Decode(encode(t, head(bpf.AuditCrauKindCRAU_DATA, 0, c.pairs), pairs...), &ev)
			switch {
			case c.want != "" && (err == nil || err.Error() != c.want):
				t.Errorf("error is %v, want %s", err, c.want)
			case c.want == "" && err != nil:
				t.Error(err)
			case c.want == "" && (len(ev.Pairs) != len(pairs) || len(pairs) > 0 && !reflect.DeepEqual(ev.Pairs, pairs)):
				t.Errorf("got %+v, want %+v", ev.Pairs, pairs)
			}
		})
	}
}

// A record is rejected if its length fields add up to more than the record.
func TestDecodeLengthsPastTheEnd(t *testing.T) {
	sample := encode(t, head(bpf.AuditCrauKindCRAU_DATA, 0, 1), text("key", "value"))
	for _, valueLen := range []uint32{6, 13, 255, 256} {
		binary.LittleEndian.PutUint32(sample[headSize+8:], valueLen)
		err := tracer.Decode(sample, &event.Event{})
		if fits := int(valueLen) <= len(sample)-headSize-pairSize-len("key"); (err == nil) != fits {
			t.Errorf("a value said to have %d bytes in a sample of %d: %v", valueLen, len(sample), err)
		}
	}
	binary.LittleEndian.PutUint32(sample[headSize+8:], 1<<32-1)
	if err := tracer.Decode(sample, &event.Event{}); err == nil {
		t.Error("no error for a value of 4 GiB")
	}
}

func TestDecodeTruncated(t *testing.T) {
	pairs := []event.Pair{word("tls::group", 1), text("name", "tls::handshake"), blob("b", "12345", 5, 0)}
	sample := encode(t, head(bpf.AuditCrauKindCRAU_DATA, 0, len(pairs)), pairs...)
	unpadded := len(sample) - 2 // the last pair is 16+1+5 bytes
	for n := range unpadded {
		if err := tracer.Decode(sample[:n:n], &event.Event{}); err == nil || !strings.Contains(err.Error(), "too short") {
			t.Errorf("%d of %d bytes: error is %v", n, unpadded, err)
		}
	}
	for n := unpadded; n <= len(sample)+8; n++ { // with and without the kernel's padding
		var ev event.Event
		if err := tracer.Decode(append(sample[:len(sample):len(sample)], make([]byte, 8)...)[:n], &ev); err != nil {
			t.Errorf("%d bytes: %v", n, err)
		}
		if !reflect.DeepEqual(ev.Pairs, pairs) {
			t.Errorf("%d bytes: got %+v", n, ev.Pairs)
		}
	}
}

func processSample(t *testing.T, comm, exe string) []byte {
	t.Helper()
	p := bpf.AuditCrauProcess{
		Head: head(bpf.AuditCrauKindCRAU_PROCESS, 0, 0), StartTime: 1 << 40, Cgroup: 77, ExeInode: 1 << 33,
		ExeDev: 8<<20 | 1, Uid: 1000, Gid: 100, Ppid: 1,
	}
	b, err := binary.Append(nil, binary.LittleEndian, p)
	if err != nil {
		t.Fatal(err)
	}
	copy(b[len(b)-256-16:], comm)
	copy(b[len(b)-256:], exe)
	return b
}

func TestDecodeProcess(t *testing.T) {
	for _, c := range []struct{ comm, exe, wantComm, wantExe string }{
		{"gnutls-cli", "gnutls-cli", "gnutls-cli", "gnutls-cli"},
		{"", "", "", ""},
		{strings.Repeat("c", 15), strings.Repeat("e", 255), strings.Repeat("c", 15), strings.Repeat("e", 255)},
		{strings.Repeat("c", 16), strings.Repeat("e", 256), strings.Repeat("c", 16), strings.Repeat("e", 256)},
		{"a\x00left over", "b\x00left over", "a", "b"},
	} {
		sample := processSample(t, c.comm, c.exe)
		var ev event.Event
		if err := tracer.Decode(sample, &ev); err != nil {
			t.Fatal(err)
		}
		want := event.Process{
			StartTime: 1 << 40, CgroupID: 77, ExeInode: 1 << 33, ExeDevice: 8<<20 | 1, UID: 1000, GID: 100, ParentPID: 1,
			Comm: c.wantComm, Executable: c.wantExe,
		}
		if ev.Kind != event.ProcessStart || ev.PID != 4711 || ev.Process != want {
			t.Errorf("got %+v, want process %+v", ev, want)
		}
		for n := range sample {
			if err := tracer.Decode(sample[:n:n], &ev); err == nil {
				t.Fatalf("no error with %d of %d bytes", n, len(sample))
			}
		}
	}
}

// An event that is reused for another record keeps nothing of the earlier record. Appending to a key or value does not
// overwrite the bytes after it.
func TestDecodeReuse(t *testing.T) {
	many := make([]event.Pair, maxPairs)
	for i := range many {
		many[i] = text("key", "value")
	}
	var ev event.Event
	if err := tracer.Decode(encode(t, head(bpf.AuditCrauKindCRAU_DATA, event.Lost, maxPairs), many...), &ev); err != nil {
		t.Fatal(err)
	}
	_ = append(ev.Pairs[0].Key, "overwritten"...)
	_ = append(ev.Pairs[0].Value, "overwritten overwritten"...)
	if !reflect.DeepEqual(ev.Pairs, many) {
		t.Errorf("appending to a key or value changed others: %+v", ev.Pairs)
	}
	if err := tracer.Decode(processSample(t, "comm", "exe"), &ev); err != nil {
		t.Fatal(err)
	}
	if len(ev.Pairs) != 0 {
		t.Errorf("a process record with pairs of the record before: %+v", ev.Pairs)
	}
	if err := tracer.Decode(encode(t, head(bpf.AuditCrauKindCRAU_NEW_CONTEXT, 0, 0)), &ev); err != nil {
		t.Fatal(err)
	}
	if len(ev.Pairs) != 0 || ev.Flags != 0 || ev.Process != (event.Process{}) {
		t.Errorf("something of the records before is left: %+v", ev)
	}
}

func TestDecodeDoesNotAllocate(t *testing.T) {
	sample := encode(t, head(bpf.AuditCrauKindCRAU_DATA, 0, 2), word("tls::group", 1), text("name", "tls::handshake"))
	ev := event.Event{Pairs: make([]event.Pair, 0, maxPairs)}
	if n := testing.AllocsPerRun(100, func() {
		if err := tracer.Decode(sample, &ev); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations a record", n)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte{})
	f.Add(encode(f, head(bpf.AuditCrauKindCRAU_NEW_CONTEXT, 0, 0)))
	f.Add(encode(f, head(bpf.AuditCrauKindCRAU_DATA, event.Cut, 2), word("tls::group", 1), text("name", "tls::handshake")))
	f.Add(encode(f, head(bpf.AuditCrauKindCRAU_DATA, 0, 1), blob(strings.Repeat("k", maxKey), strings.Repeat("v", maxValue), 300, 0)))
	f.Add(encode(f, head(bpf.AuditCrauKindCRAU_DATA, 0, maxPairs+1)))
	f.Add(append(encode(f, head(bpf.AuditCrauKindCRAU_PROCESS, 0, 0)), make([]byte, binary.Size(bpf.AuditCrauProcess{})-headSize)...))
	f.Fuzz(func(t *testing.T, sample []byte) {
		original := bytes.Clone(sample)
		var ev event.Event
		err := tracer.Decode(sample, &ev)
		if !bytes.Equal(sample, original) {
			t.Error("the sample was changed")
		}
		if err != nil {
			if !strings.HasPrefix(err.Error(), "decode ") {
				t.Errorf("error is %q", err)
			}
			return
		}
		total := headSize
		for _, p := range ev.Pairs {
			if len(p.Key) > maxKey || len(p.Value) > maxValue || p.Type > event.Blob {
				t.Errorf("pair over a limit: %+v", p)
			}
			total += pairSize + len(p.Key) + len(p.Value)
		}
		if ev.Kind > event.ProcessExit || len(ev.Pairs) > maxPairs || total > len(sample) {
			t.Errorf("%d bytes of pairs from a sample of %d: %+v", total, len(sample), ev)
		}
		var again event.Event // bytes after a record do not change the event
		if err := tracer.Decode(append(original, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), &again); err != nil {
			t.Errorf("with bytes behind it: %v", err)
		}
		if fmt.Sprintf("%+v", again) != fmt.Sprintf("%+v", ev) {
			t.Errorf("with bytes behind it %+v, without %+v", again, ev)
		}
		if ev.Kind == event.ProcessStart {
			return
		}
		// Encoding the event again and decoding the result gives the same event.
		record := bpf.AuditCrauRecord{
			Time: ev.Time, Context: ev.Context, Parent: ev.Parent, Tgid: ev.PID, Tid: ev.TID, File: ev.File,
			Lost: ev.Lost, Kind: sample[36], Flags: uint8(ev.Flags), Pairs: uint16(len(ev.Pairs)),
		}
		if err := tracer.Decode(encode(t, record, ev.Pairs...), &again); err != nil {
			t.Errorf("written down again: %v", err)
		}
		if fmt.Sprintf("%+v", again) != fmt.Sprintf("%+v", ev) {
			t.Errorf("written down again %+v, first %+v", again, ev)
		}
	})
}
