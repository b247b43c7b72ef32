// SPDX-License-Identifier: Apache-2.0

package golden

import (
	"encoding/binary"
	"fmt"
	"os"
	"testing"

	"github.com/crau-otel/crau-otel/bpf"
	"github.com/crau-otel/crau-otel/tracer"
	"github.com/crau-otel/crau-otel/tracer/event"
)

// magic starts a recording. After it come the size of a record's head at the time of recording, and the records, each
// preceded by its length. All numbers are 32-bit little endian.
const magic = "crau-otel ring\n\x01"

var headSize = uint32(binary.Size(bpf.AuditCrauRecord{}))

func recordingPath(name string) string { return "testdata/" + name + ".rec" }

// readRecording returns the decoded events of a recording.
func readRecording(t *testing.T, name string) []event.Event {
	t.Helper()
	b, err := os.ReadFile(recordingPath(name))
	if err != nil {
		t.Fatal(err)
	}
	events, err := parseRecording(b)
	if err != nil {
		t.Fatalf("%s: %v", recordingPath(name), err)
	}
	return events
}

func parseRecording(b []byte) ([]event.Event, error) {
	if len(b) < len(magic)+4 || string(b[:len(magic)]) != magic {
		return nil, fmt.Errorf("not a recording")
	}
	b = b[len(magic):]
	if size := binary.LittleEndian.Uint32(b); size != headSize {
		return nil, fmt.Errorf("its records have heads of %d bytes, now they have %d: record it again, see doc.go", size, headSize)
	}
	var events []event.Event
	for b = b[4:]; len(b) > 0; {
		if len(b) < 4 || int(binary.LittleEndian.Uint32(b)) > len(b)-4 {
			return nil, fmt.Errorf("cut short in record %d", len(events)+1)
		}
		n := binary.LittleEndian.Uint32(b)
		var ev event.Event
		if err := tracer.Decode(b[4:4+n], &ev); err != nil {
			return nil, fmt.Errorf("record %d: %w", len(events)+1, err)
		}
		events = append(events, ev)
		b = b[4+n:]
	}
	return events, nil
}
