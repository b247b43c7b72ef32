// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"unsafe"

	"github.com/crau-otel/crau-otel/bpf"
	"github.com/crau-otel/crau-otel/tracer/event"
)

const (
	recordSize  = int(unsafe.Sizeof(bpf.AuditCrauRecord{}))
	pairSize    = int(unsafe.Sizeof(bpf.AuditCrauPair{}))
	processSize = int(unsafe.Sizeof(bpf.AuditCrauProcess{}))
)

// Offsets in crau_record.
const (
	kindOffset  = int(unsafe.Offsetof(bpf.AuditCrauRecord{}.Kind))
	flagsOffset = int(unsafe.Offsetof(bpf.AuditCrauRecord{}.Flags))
)

// Flags of a pair that has an offset into the file's strings instead of its key or value.
const (
	keyOffset   = event.Flags(bpf.AuditCrauFlagCRAU_KEY_OFFSET)
	valueOffset = event.Flags(bpf.AuditCrauFlagCRAU_VALUE_OFFSET)
)

var (
	errShort    = errors.New("record is too short")
	errNoString = errors.New("no copy of the file's strings at that offset")
)

// Decode decodes one record of the ring buffer into ev, reusing ev.Pairs. The keys and values of the pairs point into
// sample. Decode fails if sample is not a record of the program, or if it contains offsets into a file's strings,
// which only records of sites added after AddStrings do. After an error ev is undefined.
func Decode(sample []byte, ev *event.Event) error {
	return decode(sample, ev, nil)
}

// decode is Decode with the strings that records refer to. The resulting event does not depend on whether the kernel
// copied a string or sent its offset.
func decode(sample []byte, ev *event.Event, strings *stringTable) error {
	if len(sample) < recordSize {
		return fmt.Errorf("decode record of %d bytes: %w", len(sample), errShort)
	}
	le := binary.LittleEndian
	kind := bpf.AuditCrauKind(sample[kindOffset])
	if kind == bpf.AuditCrauKindCRAU_SHORT {
		return decodeShort(sample, ev, strings)
	}
	pairs := int(le.Uint16(sample[38:]))
	*ev = event.Event{
		Time:    le.Uint64(sample),
		Context: le.Uint64(sample[8:]),
		Parent:  le.Uint64(sample[16:]),
		PID:     le.Uint32(sample[24:]),
		TID:     le.Uint32(sample[28:]),
		File:    le.Uint32(sample[32:]),
		Flags:   event.Flags(sample[37]),
		Lost:    le.Uint64(sample[40:]),
		Pairs:   ev.Pairs[:0],
	}
	switch kind {
	case bpf.AuditCrauKindCRAU_NEW_CONTEXT, bpf.AuditCrauKindCRAU_NEW_CONTEXT_WITH_DATA:
		ev.Kind = event.NewContext
	case bpf.AuditCrauKindCRAU_WORD_DATA, bpf.AuditCrauKindCRAU_STRING_DATA, bpf.AuditCrauKindCRAU_BLOB_DATA,
		bpf.AuditCrauKindCRAU_DATA:
		ev.Kind = event.Data
	case bpf.AuditCrauKindCRAU_SESSION_ENTER:
		ev.Kind = event.SessionEnter
	case bpf.AuditCrauKindCRAU_SESSION_LEAVE:
		ev.Kind = event.SessionLeave
	case bpf.AuditCrauKindCRAU_EXIT:
		ev.Kind = event.ProcessExit
	case bpf.AuditCrauKindCRAU_PROCESS:
		ev.Kind = event.ProcessStart
		return decodeProcess(sample, &ev.Process)
	default:
		return fmt.Errorf("decode record: unknown kind %d", kind)
	}
	if pairs > int(bpf.AuditCrauLimitCRAU_MAX_PAIRS) {
		return fmt.Errorf("decode record: %d pairs, the limit is %d", pairs, bpf.AuditCrauLimitCRAU_MAX_PAIRS)
	}
	rest := sample[recordSize:]
	for i := range pairs {
		pair, n, err := decodePair(rest)
		if err != nil {
			return fmt.Errorf("decode pair %d of %d: %w", i+1, pairs, err)
		}
		if pair.Flags&(keyOffset|valueOffset) != 0 {
			if err := resolve(&pair, ev.File, strings); err != nil {
				return fmt.Errorf("decode pair %d of %d: %w", i+1, pairs, err)
			}
			ev.Flags |= pair.Flags
		}
		ev.Pairs = append(ev.Pairs, pair)
		rest = rest[min(n, len(rest)):]
	}
	return nil
}

// decodeShort decodes a crau_short, which contains a single word or string. The caller has checked the record's size,
// because a crau_short has the size of a crau_record.
func decodeShort(sample []byte, ev *event.Event, strings *stringTable) error {
	le := binary.LittleEndian
	*ev = event.Event{
		Time:    le.Uint64(sample),
		Context: le.Uint64(sample[8:]),
		PID:     le.Uint32(sample[24:]),
		TID:     le.Uint32(sample[28:]),
		File:    le.Uint32(sample[32:]),
		Kind:    event.Data,
		Lost:    uint64(le.Uint32(sample[44:])),
		Pairs:   ev.Pairs[:0],
	}
	pair := event.Pair{Key: sample[40:44:44], Value: sample[44:44:44], Word: le.Uint64(sample[16:]), Flags: keyOffset}
	switch t := bpf.AuditCrauPairType(le.Uint16(sample[38:])); t {
	case bpf.AuditCrauPairTypeCRAU_WORD:
	case bpf.AuditCrauPairTypeCRAU_STRING:
		pair.Type = event.String
		pair.Flags |= valueOffset
	default:
		return fmt.Errorf("decode short record: unknown value type %d", t)
	}
	if err := resolve(&pair, ev.File, strings); err != nil {
		return fmt.Errorf("decode short record: %w", err)
	}
	ev.Flags = pair.Flags
	ev.Pairs = append(ev.Pairs, pair)
	return nil
}

// decodePair returns the first pair of b and the offset of the next one.
func decodePair(b []byte) (event.Pair, int, error) {
	if len(b) < pairSize {
		return event.Pair{}, 0, errShort
	}
	le := binary.LittleEndian
	pair := event.Pair{Word: le.Uint64(b), Type: event.Type(b[14]), Flags: event.Flags(b[15])}
	valueLen, keyLen := int(le.Uint32(b[8:])), int(le.Uint16(b[12:]))
	end := pairSize
	if pair.Flags&keyOffset != 0 && keyLen == 0 {
		pair.Key, pair.Value = b[8:12:12], b[12:12:12]
	} else {
		if keyLen > int(bpf.AuditCrauLimitCRAU_MAX_KEY) || valueLen > int(bpf.AuditCrauLimitCRAU_MAX_VALUE) {
			return event.Pair{}, 0, fmt.Errorf("a key of %d and a value of %d bytes are over the limit", keyLen, valueLen)
		}
		end += keyLen + valueLen
		if end > len(b) {
			return event.Pair{}, 0, errShort
		}
		pair.Key, pair.Value = b[pairSize:pairSize+keyLen:pairSize+keyLen], b[pairSize+keyLen:end:end]
	}
	if pair.Type > event.Blob {
		return event.Pair{}, 0, fmt.Errorf("unknown value type %d", pair.Type)
	}
	return pair, (end + 7) &^ 7, nil
}

// resolve replaces the offsets in a pair by the strings that the kernel would have copied.
func resolve(pair *event.Pair, file uint32, strings *stringTable) error {
	if strings == nil {
		return errNoString
	}
	flags := pair.Flags &^ (keyOffset | valueOffset)
	if pair.Flags&keyOffset != 0 {
		if len(pair.Key) != 4 {
			return errShort
		}
		key, cut, ok := strings.text(file, binary.LittleEndian.Uint32(pair.Key), int(bpf.AuditCrauLimitCRAU_MAX_KEY))
		if !ok {
			return errNoString
		}
		if pair.Key = key; cut {
			flags |= event.KeyCut
		}
	}
	if pair.Flags&valueOffset != 0 {
		value, cut, ok := strings.text(file, uint32(pair.Word), int(bpf.AuditCrauLimitCRAU_MAX_VALUE))
		if !ok {
			return errNoString
		}
		if pair.Value = value; cut {
			flags |= event.Cut
		}
		pair.Word = 0
	}
	pair.Flags = flags
	return nil
}

// truncated returns the bytes before the first NUL, and at most limit bytes. cut reports whether there were more than
// limit.
func truncated(b []byte, limit int) (text []byte, cut bool) {
	b = b[:min(len(b), limit+1)]
	n := bytes.IndexByte(b, 0)
	if n < 0 {
		n = min(len(b), limit)
		cut = len(b) > limit
	}
	return b[:n:n], cut
}

func decodeProcess(sample []byte, p *event.Process) error {
	if len(sample) < processSize {
		return fmt.Errorf("decode process record of %d bytes: %w", len(sample), errShort)
	}
	var raw bpf.AuditCrauProcess
	if _, err := binary.Decode(sample[:processSize], binary.LittleEndian, &raw); err != nil {
		return fmt.Errorf("decode process record: %w", err)
	}
	*p = event.Process{
		StartTime:  raw.StartTime,
		CgroupID:   raw.Cgroup,
		ExeInode:   raw.ExeInode,
		ExeDevice:  raw.ExeDev,
		UID:        raw.Uid,
		GID:        raw.Gid,
		ParentPID:  raw.Ppid,
		Comm:       cString(sample[processSize-len(raw.Exe)-len(raw.Comm) : processSize-len(raw.Exe)]),
		Executable: cString(sample[processSize-len(raw.Exe) : processSize]),
	}
	return nil
}

func cString(b []byte) string {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return string(b)
}
