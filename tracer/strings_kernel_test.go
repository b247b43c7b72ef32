// SPDX-License-Identifier: Apache-2.0

package tracer_test

import (
	"bytes"
	"context"
	"fmt"
	"math/bits"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/crau-otel/crau-otel/bpf"
	"github.com/crau-otel/crau-otel/test/harness"
	"github.com/crau-otel/crau-otel/tracer"
	"github.com/crau-otel/crau-otel/tracer/event"
)

const atFlags = event.Flags(bpf.AuditCrauFlagCRAU_KEY_OFFSET | bpf.AuditCrauFlagCRAU_VALUE_OFFSET)

// constants are keys and values of all relevant lengths. No constant is the end of another one, because linkers merge
// such strings.
func constants() (pairs [][2]string) {
	for _, n := range []int{0, 1, 61, 62, 63, 64, 100} {
		pairs = append(pairs, [2]string{strings.Repeat("k", n), fmt.Sprintf("key of %d", n)})
	}
	for i, n := range []int{0, 1, 255, 256, 257, 258, 1000} {
		pairs = append(pairs, [2]string{fmt.Sprintf("value of %d", n), strings.Repeat(string(rune('A'+i)), n)})
	}
	return append(pairs, [2]string{"not\xff\xfeUTF-8", "\x80\xc0\x01\x7f"}, [2]string{"tls::protocol", "EC/ECDSA"})
}

// literal returns s as a C string literal.
func literal(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		fmt.Fprintf(&b, "\\%03o", c)
	}
	return `"` + b.String() + `"`
}

// speaker builds a program that reports every constant from read-only memory and from the heap, each time in two events
// and in one array. Then the program reports strings from initialized data, from data that is read-only after
// relocation, from read-only memory of libc, and at an invalid address. With an argument, it first waits for the end of
// its standard input.
func speaker(t *testing.T, flags ...string) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("#include <stdio.h>\n#include <string.h>\n#include <gnu/libc-version.h>\n#include \"crau.h\"\n" +
		"static void both(const char *k, const char *v) {\n\tCRAU_STRING_DATA(1, k, v);\n\tCRAU_WORD_DATA(1, k, 7);\n" +
		"\tstruct crau_data e[] = {CRAU_STRING(k, v), CRAU_WORD(k, 8), CRAU_BLOB(k, v, 3)};\n\tCRAU_DATA(1, e, 3);\n}\n" +
		"static char data[] = \"in data\";\n" +
		"static char relro[] __attribute__((section(\".data.rel.ro\"))) = \"in relro\";\n" +
		"int main(int argc, char **argv) {\n\t(void)argv;\n\tif (argc > 1)\n\t\twhile (getchar() != EOF)\n\t\t\t;\n")
	for _, p := range constants() {
		fmt.Fprintf(&b, "\tboth(%s, %s);\n\tboth(strdup(%s), strdup(%s));\n", literal(p[0]), literal(p[1]), literal(p[0]), literal(p[1]))
	}
	b.WriteString("\tboth(data, \"a constant\");\n\tboth(\"a constant\", data);\n\tboth(relro, relro);\n" +
		"\tboth(\"libc\", gnu_get_libc_version());\n\tboth((char *)8, \"key nowhere\");\n\tboth(\"value nowhere\", (char *)8);\n}\n")
	dir := t.TempDir()
	source, path := filepath.Join(dir, "speaker.c"), filepath.Join(dir, "speaker")
	if err := os.WriteFile(source, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	cc := exec.Command("cc", append(flags, "-O1", "-fno-builtin", "-I../examples/include", "-o", path, source)...)
	if out, err := cc.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

// outcome is the result of a run: the events, the number of strings that the kernel did not copy, and the counters.
type outcome struct {
	events  []event.Event
	offsets int
	short   int // number of crau_short records
	stats   tracer.Stats
}

// listen attaches to a program and runs it. prepare may register the program's strings. meanwhile is called while the
// program runs, before it hits a probe.
func listen(t *testing.T, cfg tracer.Config, path string, prepare func(*tracer.Tracer), meanwhile func()) outcome {
	t.Helper()
	var got outcome
	cfg.Tap = func(sample []byte) {
		if sample[36] == uint8(bpf.AuditCrauKindCRAU_SHORT) {
			got.offsets += 1 + int(sample[38]) // a string's value is not copied either
			got.short++
			return
		}
		for at := headSize; at+pairSize <= len(sample); {
			got.offsets += bits.OnesCount8(uint8(event.Flags(sample[at+15]) & atFlags))
			length := 0
			// With the flag and without bytes of key, the key's offset is in the field of the value's length.
			if sample[at+12] != 0 || event.Flags(sample[at+15])&event.Flags(bpf.AuditCrauFlagCRAU_KEY_OFFSET) == 0 {
				length = int(sample[at+8]) + int(sample[at+9])<<8 + int(sample[at+12])
			}
			at += (pairSize + length + 7) &^ 7
		}
	}
	tr := newTracer(t, cfg)
	prepare(tr)
	attachment, cookies := harness.File(t, tr, path)
	cmd := exec.Command(path, "wait")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	meanwhile()
	if err := stdin.Close(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if err := attachment.Close(); err != nil {
		t.Fatal(err)
	}
	if err := tr.Remove(cookies...); err != nil { // records in the ring must still be decoded
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	all := newRecorder()
	if err := tr.Run(ctx, all); err != nil {
		t.Fatal(err)
	}
	for _, ev := range all.events {
		if ev.Kind == event.Data {
			got.events = append(got.events, ev)
		}
	}
	got.stats = stats(t, tr)
	return got
}

// text formats the part of an event that a user can see.
func (s outcome) text() []string {
	var lines []string
	for _, ev := range s.events {
		line := fmt.Sprintf("%d %d:", ev.Context, ev.Flags)
		for _, p := range ev.Pairs {
			line += fmt.Sprintf(" %q=%q %d type %d flags %d;", p.Key, p.Value, p.Word, p.Type, p.Flags)
		}
		lines = append(lines, line)
	}
	return lines
}

func nothing() {}

// register registers the program's strings.
func register(t *testing.T, path string) func(*tracer.Tracer) {
	t.Helper()
	address, content := harness.Strings(t, path)
	return func(tr *tracer.Tracer) {
		if err := tr.AddStrings(0, "", address, content); err != nil {
			t.Fatal(err)
		}
	}
}

// An event is the same whether the kernel copied its strings or user space looked them up.
func TestStringsAreTheSameFromAnywhere(t *testing.T) {
	for name, c := range map[string]struct {
		cfg   tracer.Config
		flags []string
	}{
		"5-byte site":          {tracer.Config{}, nil},
		"1-byte site":          {tracer.Config{}, []string{"-DCRAU_NOP1"}},
		"single uprobes":       {tracer.Config{SingleUprobe: true}, nil},
		"at a fixed address":   {tracer.Config{}, []string{"-no-pie"}},
		"one segment for all":  {tracer.Config{}, []string{"-Wl,-z,noseparate-code"}},
		"each hit is limited":  {tracer.Config{ProcessRate: 60000}, nil},
		"few hits are limited": {tracer.Config{ProcessRate: 2_000_000}, nil},
	} {
		t.Run(name, func(t *testing.T) { compareStrings(t, c.cfg, speaker(t, c.flags...)) })
	}
}

func compareStrings(t *testing.T, cfg tracer.Config, path string) {
	t.Helper()
	copied := listen(t, cfg, path, func(*tracer.Tracer) {}, nothing)
	if copied.offsets != 0 {
		t.Fatalf("%d references to strings that nobody registered", copied.offsets)
	}
	found := listen(t, cfg, path, register(t, path), nothing)
	if got, want := found.text(), copied.text(); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	// Each constant in read-only memory is referred to five times as a key and twice as a value. In addition, "a constant"
	// is referred to twice as a value, and "a constant", "libc" and "value nowhere" five times each as a key. The value
	// "key nowhere" is not reported, because its key is at an invalid address.
	if want := 7*len(constants()) + 2 + 5 + 5 + 5; found.offsets != want {
		t.Errorf("there are %d references to strings, want %d", found.offsets, want)
	}
	if found.short < 2*len(constants()) || copied.short != 0 {
		t.Errorf("%d short records with strings that are known, %d without", found.short, copied.short)
	}
	copied.stats.Read, found.stats.Read = 0, 0
	if found.stats != copied.stats || found.stats.Truncated == 0 || found.stats.PairFaults == 0 || found.stats.Fault != 3 {
		t.Errorf("counters are %+v, want %+v", found.stats, copied.stats)
	}

	// Compare with the expected texts too, in case both runs are wrong. Each constant has three events from read-only
	// memory, followed by three from the heap.
	for i, p := range constants() {
		key, value, flags := p[0][:min(len(p[0]), maxKey)], p[1][:min(len(p[1]), maxValue)], event.Flags(0)
		if len(p[0]) > maxKey {
			flags |= event.KeyCut
		}
		if len(p[1]) > maxValue {
			flags |= event.Cut
		}
		for _, ev := range []event.Event{found.events[6*i], found.events[6*i+3]} {
			if len(ev.Pairs) != 1 || string(ev.Pairs[0].Key) != key || string(ev.Pairs[0].Value) != value ||
				ev.Pairs[0].Flags != flags || ev.Flags != flags || ev.Pairs[0].Type != event.String || ev.Pairs[0].Word != 0 {
				t.Errorf("got %+v, want %q=%q with flags %d", ev, key, value, flags)
			}
		}
	}
}

// If scopes are selected, the kernel reads keys to compare their scopes, but still does not read values.
func TestStringsWithScopes(t *testing.T) {
	path := speaker(t)
	cfg := tracer.Config{Scopes: []string{"pk"}}
	copied := listen(t, cfg, path, func(*tracer.Tracer) {}, nothing)
	found := listen(t, cfg, path, register(t, path), nothing)
	if got, want := found.text(), copied.text(); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if found.offsets == 0 || found.stats.Hidden != 6 || copied.stats.Hidden != 6 {
		t.Errorf("%d values found, counters %+v and %+v", found.offsets, found.stats, copied.stats)
	}
}

// Replacing the file after its strings were read has no effect, because running processes still map the old file.
func TestStringsOfAFileThatIsReplaced(t *testing.T) {
	for name, change := range map[string]func(path string) error{
		"deleted": os.Remove,
		"replaced": func(path string) error {
			if err := os.Remove(path); err != nil {
				return err
			}
			return os.WriteFile(path, bytes.Repeat([]byte("other"), 10000), 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := speaker(t)
			want := listen(t, tracer.Config{}, path, register(t, path), nothing)
			got := listen(t, tracer.Config{}, path, register(t, path), func() {
				if err := change(path); err != nil {
					t.Fatal(err)
				}
			})
			if !slices.Equal(got.text(), want.text()) || got.offsets != want.offsets || got.offsets == 0 {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got.text(), "\n"), strings.Join(want.text(), "\n"))
			}
		})
	}
}

// The kernel reads a string that is only partly in user space's copy.
func TestStringsAtTheEnd(t *testing.T) {
	path := speaker(t)
	address, content := harness.Strings(t, path)
	want := listen(t, tracer.Config{}, path, func(*tracer.Tracer) {}, nothing)
	with := func(bytes int) outcome {
		got := listen(t, tracer.Config{}, path, func(tr *tracer.Tracer) {
			if err := tr.AddStrings(0, "", address, content[:bytes:bytes]); err != nil {
				t.Fatal(err)
			}
		}, nothing)
		if !slices.Equal(got.text(), want.text()) {
			t.Errorf("with %d of %d bytes: got\n%s\nwant\n%s", bytes, len(content), strings.Join(got.text(), "\n"), strings.Join(want.text(), "\n"))
		}
		return got
	}
	for text, least := range map[string]int{"EC/ECDSA\x00": len("EC/ECDSA\x00"), strings.Repeat("G", 1000): maxValue + 1} {
		start := bytes.Index(content, []byte(text))
		without, almost, enough := with(start), with(start+least-1), with(start+least)
		if almost.offsets != without.offsets || enough.offsets <= almost.offsets {
			t.Errorf("%.10q: %d references to strings without it, %d without its end, %d with it", text, without.offsets, almost.offsets, enough.offsets)
		}
	}
}
