// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/crau-otel/crau-otel/test/needs"

	"github.com/crau-otel/crau-otel/probes/untraced"
)

// A mapped file that has probes and cannot be traced is logged once, listed and counted.
func TestUntracedFilesAreLoggedListedAndCounted(t *testing.T) {
	t.Parallel()
	needs.Root(t)
	dir := t.TempDir()
	data, err := os.ReadFile(sample(t, "sample", t.TempDir(), "original"))
	if err != nil {
		t.Fatal(err)
	}
	changed := func(change func(data []byte)) []byte {
		other := bytes.Clone(data)
		change(other)
		return other
	}
	const class, order, machine = elf.EI_CLASS, elf.EI_DATA, 18 // offsets in the ELF header
	_, onFUSE := mountFuse(t, data)
	want := map[string]untraced.Reason{onFUSE: untraced.FUSE}
	for name, file := range map[string]struct {
		data   []byte
		reason untraced.Reason
	}{
		"32-bit.so":     {changed(func(d []byte) { d[class] = byte(elf.ELFCLASS32) }), untraced.Unsupported},
		"big-endian.so": {changed(func(d []byte) { d[order] = byte(elf.ELFDATA2MSB) }), untraced.Unsupported},
		"foreign.so":    {changed(func(d []byte) { binary.LittleEndian.PutUint16(d[machine:], uint16(elf.EM_S390)) }), untraced.Unsupported},
		"bad.so":        {bytes.ReplaceAll(data, []byte("8@"), []byte("!!")), untraced.BadNotes},
		"denied.so":     {data, untraced.Denied},
		"good.so":       {data, ""},
	} {
		want[write(t, filepath.Join(dir, name), file.data)] = file.reason
	}
	for path := range want {
		mapper(t, path)
	}
	var log bytes.Buffer
	w := discover(t, Config{
		Rules: Rules{Enabled: true, Deny: []string{"denied.so"}}, Log: slog.New(slog.NewTextHandler(&log, nil)),
	}, dir, filepath.Dir(onFUSE))
	w.scan(t)
	w.scan(t)
	w.expect(t, "+"+filepath.Join(dir, "good.so"))
	counts := make(map[untraced.Reason]int)
	for path, reason := range want {
		if got := w.entry(t, path); got.Untraced != reason || (got.Refused == "") != (reason == "") {
			t.Errorf("%s: got %q, %q, want %q", path, got.Untraced, got.Refused, reason)
		}
		lines := 0
		for line := range strings.Lines(log.String()) {
			if strings.Contains(line, "file="+path+" ") && strings.Contains(line, "reason="+string(reason)+" ") {
				lines++
			}
		}
		if reason != "" {
			counts[reason]++
			if lines != 1 {
				t.Errorf("%s: %d lines with the reason %s in the log:\n%s", path, lines, reason, &log)
			}
		}
	}
	got := w.Stats().Untraced
	if len(got) != len(untraced.Reasons()) {
		t.Errorf("counted for %d reasons of %d", len(got), len(untraced.Reasons()))
	}
	for reason, n := range got {
		if n != counts[reason] {
			t.Errorf("%d files are %s, want %d", n, reason, counts[reason])
		}
	}
}
