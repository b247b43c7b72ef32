// SPDX-License-Identifier: Apache-2.0

package probes

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/crau-otel/crau-otel/test/needs"
)

func TestNopLength(t *testing.T) {
	t.Parallel()
	for _, code := range [][]byte{
		{0x90},
		{0x66, 0x90},
		{0x0f, 0x1f, 0x00},
		{0x0f, 0x1f, 0x40, 0x00},
		{0x0f, 0x1f, 0x44, 0x00, 0x00},
		{0x66, 0x0f, 0x1f, 0x44, 0x00, 0x00},
		{0x0f, 0x1f, 0x80, 0x00, 0x00, 0x00, 0x00},
		{0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00},
		{0x66, 0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00},
		{0x66, 0x2e, 0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00},
		{0x66, 0x66, 0x2e, 0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00},
		{0x0f, 0x1f, 0xc0},                               // nop %eax
		{0x0f, 0x1f, 0x05, 0x01, 0x02, 0x03, 0x04},       // nopl 0x4030201(%rip)
		{0x0f, 0x1f, 0x04, 0x25, 0x01, 0x02, 0x03, 0x04}, // nopl 0x4030201
	} {
		if got := nopLength(append(slices.Clone(code), 0xc3, 0xc3, 0xc3)); got != len(code) {
			t.Errorf("% x has length %d, want %d", code, got, len(code))
		}
		if got := nopLength(code[:len(code)-1]); got != 0 && code[len(code)-1] != 0x90 {
			t.Errorf("% x, which is cut, has length %d", code[:len(code)-1], got)
		}
	}
	for _, code := range [][]byte{
		{},
		{0xcc},
		{0x41, 0x90},       // xchg %r8d,%eax
		{0xf3, 0x90},       // pause
		{0x0f, 0x1f, 0x08}, // a reserved form
		{0x0f, 0x05},       // syscall
		{0x48, 0x89, 0xe5}, // mov
		bytes.Repeat([]byte{0x66}, 16),
	} {
		if got := nopLength(code); got != 0 {
			t.Errorf("% x is a nop of length %d", code, got)
		}
	}
}

// The sequences of instructions at a probe site that usdt.h of libbpf and crau.h emit.
var (
	siteLibbpf5  = slices.Concat(nop1, nop5)
	siteLibbpf10 = slices.Concat(nop1, nop10)
	siteCrau     = slices.Concat(nop1, nop10, skipRedZone, nop5, []byte{0x48, 0x8d, 0xa4, 0x24, 0x80, 0, 0, 0})
)

func TestFastNops(t *testing.T) {
	t.Parallel()
	tail := []byte{0xc3, 0x90, 0x0f, 0x1f, 0x44, 0, 0}
	for name, c := range map[string]struct {
		code   []byte
		offset uint64
		want   []fastNop
	}{
		"sdt.h":                      {nop1, 0, nil},
		"usdt.h of 2025":             {siteLibbpf5, 0, []fastNop{{1, 5, false}}},
		"usdt.h of 2026":             {siteLibbpf10, 0, []fastNop{{1, 10, false}}},
		"crau.h":                     {siteCrau, 0, []fastNop{{1, 10, false}, {16, 5, true}}},
		"within the page":            {siteLibbpf5, pageSize - 6, []fastNop{{1, 5, false}}},
		"across the page":            {siteLibbpf5, pageSize - 5, nil},
		"crau.h, 10 across the page": {siteCrau, pageSize - 10, []fastNop{{16, 5, true}}},
		"crau.h, 5 across the page":  {siteCrau, pageSize - 20, []fastNop{{1, 10, false}}},
		"a single 5-byte nop":        {nop5, 0, nil},
	} {
		if got := fastNops(elf.EM_X86_64, append(slices.Clone(c.code), tail...), c.offset); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
		for n := range c.code {
			fastNops(elf.EM_X86_64, c.code[:n], c.offset)
		}
	}
	if got := fastNops(elf.EM_AARCH64, siteCrau, 0); got != nil {
		t.Errorf("arm64: got %v", got)
	}
}

func TestPlace(t *testing.T) {
	t.Parallel()
	spec := "8@%rdi 8@(%rsp) 8@16(%rip) 8@%rsp"
	e := elfSpec{notes: []noteSpec{ours("blob_data", textAddr, spec)}, text: siteCrau}
	f, err := e.build(t).read()
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		kernel    NopSupport
		skip, rsp int64
	}{
		"before 6.18":    {NopSupport{}, 0, 0},
		"6.18":           {NopSupport{nop5: replacedUnsafely}, 16, redZone},
		"nop10":          {NopSupport{nop10: replacedSafely}, 1, 0},
		"nop10, not yet": {NopSupport{nop10: replacedUnsafely}, 0, 0},
		"both":           {NopSupport{nop5: replacedUnsafely, nop10: replacedSafely}, 1, 0},
	} {
		got := c.kernel.Place(f.Sites)[0]
		if got.Offset != uint64(textOff+c.skip) || got.Address != uint64(textAddr+c.skip) {
			t.Errorf("%s: got %+v", name, got)
		}
		var values []int64
		for _, a := range got.Args {
			values = append(values, a.Value)
		}
		if want := []int64{0, c.rsp, 16 - c.skip, c.rsp}; !slices.Equal(values, want) {
			t.Errorf("%s: displacements are %v, want %v", name, values, want)
		}
	}
	if again, err := e.build(t).read(); err != nil || !reflect.DeepEqual(f, again) {
		t.Errorf("Place has changed its argument: %+v", f)
	}
}

// redZoneSource is the source of a program that keeps a value in the red zone while it executes a probe site. The
// program exits with 3 if the value has changed.
const redZoneSource = `
#include <stdio.h>
#include <stdlib.h>
#include "crau.h"
#ifdef SHAPE
#undef CRAU_SITE_
#define CRAU_SITE_ "990:\tnop\n\t.byte " SHAPE "\n"
#endif
static __attribute__((noinline)) unsigned long leaf(unsigned long a)
{
	unsigned long sum;
	__asm__ volatile("mov %0, -8(%%rsp)\n\tmov %0, -16(%%rsp)" : : "r"(a) : "memory");
	CRAU_NEW_CONTEXT(a, -1);
	__asm__ volatile("mov -8(%%rsp), %0\n\tadd -16(%%rsp), %0" : "=r"(sum) : : "memory");
	return sum;
}
int main(int argc, char **argv)
{
	long rounds = atol(argv[1]);
	(void)argc;
	puts("r");
	fflush(stdout);
	getchar();
	for (long i = 0; i < rounds; i++)
		if (leaf(i) != 2UL * i)
			return 3;
	return 0;
}
`

func compileSource(t *testing.T, source string, flags ...string) string {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "program")
	if err := os.WriteFile(path+".c", []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	args := append(append([]string{"-O2", "-I../examples/include"}, flags...), "-o", path, path+".c")
	if out, err := exec.Command("cc", args...).CombinedOutput(); errors.Is(err, exec.ErrNotFound) {
		needs.Missing(t, "%v", err)
	} else if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

// A site is only moved to a nop where the kernel does not change the data that the program keeps below its stack
// pointer.
func TestPlacedSitesKeepTheRedZone(t *testing.T) {
	eachMode(t, func(t *testing.T, multi bool) {
		kernel, err := TryNops(multi)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("this kernel: %+v", kernel)
		for name, flags := range map[string][]string{
			"crau.h":         nil,
			"sdt.h":          {"-DCRAU_NOP1"},
			"usdt.h of 2025": {`-DSHAPE="0x0f, 0x1f, 0x44, 0, 0"`},
			"usdt.h of 2026": {`-DSHAPE="0x66, 0x2e, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0"`},
		} {
			path := compileSource(t, redZoneSource, flags...)
			f, err := Open(path)
			if err != nil || len(f.Sites) != 1 {
				t.Fatalf("got %+v, %v", f, err)
			}
			program, words := counter(t, multi)
			a, err := Attach(path, program, multi, kernel.Place(f.Sites), []uint64{1})
			if err != nil {
				t.Fatal(err)
			}
			start(t, path, 1000).finish(t)
			if got := readWord(t, words, 1); got != 1000 {
				t.Errorf("%s: %d hits, want 1000", name, got)
			}
			if err := a.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}

const staleSource = `
#include <stdio.h>
#include "crau.h"
static __attribute__((noinline)) unsigned long mix(unsigned long n)
{
	unsigned long h = 1469598103934665603UL;
	CRAU_WORD_DATA(n, "app::n", n);
	for (unsigned long i = 0; i < n; i++) {
		h ^= i + 12345678;
		h *= 1099511628211UL;
	}
	return h;
}
int main(void) { printf("result %lx\n", mix(10)); return 0; }
`

// moveNotes adds delta to the location in the file's first note. It returns the path of a copy of the file.
func moveNotes(t *testing.T, path string, delta int) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	note := bytes.Index(content, append([]byte(stapOwner), 0)) + len(stapOwner) + 1
	pc := binary.LittleEndian.Uint64(content[note:])
	binary.LittleEndian.PutUint64(content[note:], pc+uint64(delta))
	moved := filepath.Join(t.TempDir(), "moved")
	if err := os.WriteFile(moved, content, 0o700); err != nil {
		t.Fatal(err)
	}
	return moved
}

// A note that does not point to a nop is skipped and reported. The traced program computes the same result as without a
// tracer.
func TestStaleNotesDoNoHarm(t *testing.T) {
	requireBPF(t)
	for _, flags := range [][]string{{"-DCRAU_NOP1"}, nil} {
		path := compileSource(t, staleSource, flags...)
		want, err := exec.Command(path).Output()
		if err != nil {
			t.Fatal(err)
		}
		skipped := 0
		for delta := -4; delta <= 40; delta++ {
			moved := moveNotes(t, path, delta)
			f, err := Open(moved)
			if f == nil {
				t.Fatal(err)
			}
			if len(f.Sites) == 0 {
				skipped++
				if !errors.Is(f.Problems[0], errNoNop) || !strings.HasPrefix(f.Problems[0].Error(), `"word_data" at 0x`) {
					t.Errorf("moved by %d: %v", delta, f.Problems)
				}
				continue
			}
			program, _ := counter(t, true)
			a, err := Attach(moved, program, true, f.Sites, []uint64{1})
			if err == nil {
				if got, err := exec.Command(moved).Output(); err != nil || string(got) != string(want) {
					t.Errorf("moved by %d: got %q, %v; want %q", delta, got, err, want)
				}
				_ = a.Close()
			}
		}
		if skipped < 25 {
			t.Errorf("%d of 45 notes were skipped", skipped)
		}
	}
}
