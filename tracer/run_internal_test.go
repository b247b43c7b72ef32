// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/crau-otel/crau-otel/tracer/event"
)

type counter struct{ handled int }

func (c *counter) Handle(*event.Event) { c.handled++ }
func (c *counter) Tick(uint64)         {}

// The BPF program never writes undecodable records, so a kernel test cannot produce one.
func TestUndecodableRecordsAreCountedAndLoggedOnce(t *testing.T) {
	var log bytes.Buffer
	var tapped int
	tr := &Tracer{cfg: Config{
		Log: slog.New(slog.NewTextHandler(&log, nil)),
		Tap: func(sample []byte) { tapped += len(sample) },
	}}
	h := &counter{}
	r := &run{t: tr, h: h}
	for _, sample := range [][]byte{{}, make([]byte, 7), make([]byte, recordSize)} {
		r.handle(sample)
	}
	if n := tr.undecodable.Load(); n != 3 || tr.read.Load() != 0 || h.handled != 0 {
		t.Errorf("%d undecodable, %d read, %d handled; want 3, 0, 0", n, tr.read.Load(), h.handled)
	}
	if tapped != 7+recordSize {
		t.Errorf("the tap saw %d bytes, want %d", tapped, 7+recordSize)
	}
	if n := strings.Count(log.String(), "undecodable record skipped"); n != 1 {
		t.Errorf("logged %d times, want once:\n%s", n, &log)
	}
}
