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

// flagsAt is the offset of crau_record.flags.
const flagsAt = int(unsafe.Offsetof(bpf.AuditCrauRecord{}.Flags))

// at are the flags of a pair that does not have its key or value but says where it is.
const (
	keyAt   = event.Flags(bpf.AuditCrauFlagCRAU_KEY_AT)
	valueAt = event.Flags(bpf.AuditCrauFlagCRAU_VALUE_AT)
)

var (
	errShort  = errors.New("record is too short")
	errString = errors.New("a string that no file is known to have")
)

// Decode reads one record of the ring buffer into ev, reusing ev.Pairs. The pairs' keys and values point into sample.
// An error means that the sample is not a record of this program's, or that it refers to strings of a file, as those
// of sites added after AddStrings may; ev is then undefined.
func Decode(sample []byte, ev *event.Event) error {
	return decode(sample, ev, nil)
}

// decode is Decode with the strings that records refer to. Nothing in ev tells which were copied by the kernel.
func decode(sample []byte, ev *event.Event, strings *stringTable) error {
	if len(sample) < recordSize {
		return fmt.Errorf("decode record of %d bytes: %w", len(sample), errShort)
	}
	le := binary.LittleEndian
	kind := bpf.AuditCrauKind(sample[36])
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
		if pair.Flags&(keyAt|valueAt) != 0 {
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

// decodePair returns the first pair of b and how far behind it the next one starts.
func decodePair(b []byte) (event.Pair, int, error) {
	if len(b) < pairSize {
		return event.Pair{}, 0, errShort
	}
	le := binary.LittleEndian
	valueLen, keyLen := int(le.Uint32(b[8:])), int(le.Uint16(b[12:]))
	if keyLen > int(bpf.AuditCrauLimitCRAU_MAX_KEY) || valueLen > int(bpf.AuditCrauLimitCRAU_MAX_VALUE) {
		return event.Pair{}, 0, fmt.Errorf("a key of %d and a value of %d bytes are over the limit", keyLen, valueLen)
	}
	end := pairSize + keyLen + valueLen
	if end > len(b) {
		return event.Pair{}, 0, errShort
	}
	pair := event.Pair{
		Key:   b[pairSize : pairSize+keyLen : pairSize+keyLen],
		Value: b[pairSize+keyLen : end : end],
		Word:  le.Uint64(b),
		Type:  event.Type(b[14]),
		Flags: event.Flags(b[15]),
	}
	if pair.Type > event.Blob {
		return event.Pair{}, 0, fmt.Errorf("unknown value type %d", pair.Type)
	}
	return pair, (end + 7) &^ 7, nil
}

// resolve puts what the pair refers to into its place, as the kernel would have read it.
func resolve(pair *event.Pair, file uint32, strings *stringTable) error {
	if strings == nil {
		return errString
	}
	flags := pair.Flags &^ (keyAt | valueAt)
	if pair.Flags&keyAt != 0 {
		if len(pair.Key) != 4 {
			return errShort
		}
		key, ok := strings.find(file, binary.LittleEndian.Uint32(pair.Key))
		if !ok {
			return errString
		}
		var cut bool
		if pair.Key, cut = cutString(key, int(bpf.AuditCrauLimitCRAU_MAX_KEY)); cut {
			flags |= event.KeyCut
		}
	}
	if pair.Flags&valueAt != 0 {
		value, ok := strings.find(file, uint32(pair.Word))
		if !ok {
			return errString
		}
		var cut bool
		if pair.Value, cut = cutString(value, int(bpf.AuditCrauLimitCRAU_MAX_VALUE)); cut {
			flags |= event.Cut
		}
		pair.Word = 0
	}
	pair.Flags = flags
	return nil
}

// cutString returns the bytes before the first NUL, or limit bytes if there are more.
func cutString(b []byte, limit int) (text []byte, cut bool) {
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
