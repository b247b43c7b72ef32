// SPDX-License-Identifier: Apache-2.0

package probes

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/crau-otel/crau-otel/test/needs"
)

// probeSource is the source of a program that fires each probe in a way that makes the compiler use registers,
// constants, memory with and without index, and static variables as operands. With SEMAPHORES, the program skips its
// sites while no tracer is attached.
const probeSource = `
#ifdef SEMAPHORES
#define _SDT_HAS_SEMAPHORES 1
#endif
#include <sys/sdt.h>

#ifdef SEMAPHORES
#define SEMAPHORE(name) \
	__attribute__((section(".probes"))) volatile unsigned short crypto_auditing_##name##_semaphore;
#define ENABLED(name) crypto_auditing_##name##_semaphore
unsigned short other_ignored_semaphore;
#else
#define SEMAPHORE(name)
#define ENABLED(name) 1
#endif
SEMAPHORE(new_context) SEMAPHORE(word_data) SEMAPHORE(string_data)
SEMAPHORE(blob_data) SEMAPHORE(data) SEMAPHORE(new_context_with_data)

struct data { char *key; void *value; unsigned long size; };
static unsigned long counter = 7;

__attribute__((noinline)) void touch(void *p) { __asm__ volatile("" :: "r"(p) : "memory"); counter++; }

__attribute__((noinline)) void fire_all(unsigned long context, unsigned long *values, long i)
{
	struct data array[2] = {{"k", (void *)1, -2ul}, {"k", "v", -1ul}};
	unsigned long local[4] = {1, 2, 3, 4};
	touch(array);
	touch(local);
	if (ENABLED(new_context))
		STAP_PROBE2(crypto_auditing, new_context, context, -1l);
	if (ENABLED(word_data))
		STAP_PROBE3(crypto_auditing, word_data, context, "key", values[i]);
	if (ENABLED(word_data))
		STAP_PROBE3(crypto_auditing, word_data, counter, "key", (unsigned char)(i >> 8));
	if (ENABLED(string_data))
		STAP_PROBE3(crypto_auditing, string_data, context, "key", "value");
	if (ENABLED(blob_data))
		STAP_PROBE4(crypto_auditing, blob_data, context, "key", values, local[i & 3]);
	if (ENABLED(data))
		STAP_PROBE3(crypto_auditing, data, context, array, 2ul);
	if (ENABLED(new_context_with_data))
		STAP_PROBE4(crypto_auditing, new_context_with_data, context, values[1], array, 2);
	STAP_PROBE(other, ignored);
}
__attribute__((noinline)) int gnutls_handshake(void *session) { touch(session); return 0; }

#ifdef PROGRAM
#include <stdlib.h>
#include <unistd.h>
int main(int argc, char **argv)
{
	unsigned long values[2] = {11, 12};
	char go;
	int n = atoi(argv[1]);
	if (write(1, "r", 1) != 1 || read(0, &go, 1) != 1) /* ready; wait for the go-ahead */
		return 1;
	for (int i = 0; i < n; i++)
		fire_all(0x1000 + i, values, i & 1);
	gnutls_handshake(&n);
	return 0;
}
#endif
`

// compile builds probeSource and returns the path of the binary. If the compiler or <sys/sdt.h> is missing, the test is
// skipped; in CI, it fails.
func compile(t *testing.T, compiler string, flags ...string) string {
	t.Helper()
	dir := t.TempDir()
	source, out := filepath.Join(dir, "probes.c"), filepath.Join(dir, "probes.bin")
	if err := os.WriteFile(source, []byte(probeSource), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := exec.LookPath(compiler); err != nil {
		needs.Missing(t, "%v", err)
	}
	check := exec.Command(compiler, append(flags, "-E", "-o", "/dev/null", source)...)
	if text, err := check.CombinedOutput(); err != nil {
		needs.Missing(t, "%s", string(text))
	}
	build := exec.Command(compiler, append(flags, "-Wall", "-o", out, source)...)
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return out
}

// probesOf returns the probes of the sites, in order.
func probesOf(sites []Site) []Probe {
	var all []Probe
	for _, s := range sites {
		all = append(all, s.Probe)
	}
	return all
}

// firedProbes lists the probes of probeSource in the order of its lines. Compilers write the notes in this order.
var firedProbes = []Probe{NewContext, WordData, WordData, StringData, BlobData, Data, NewContextWithData, SessionEnter}

func TestReadCompiled(t *testing.T) {
	t.Parallel()
	shared := []string{"-shared", "-fPIC", "-Wl,-soname,libcompiled.so.1", "-Wl,--build-id"}
	for name, test := range map[string]struct {
		flags  []string
		soname string
	}{
		"shared":             {append(shared, "-O2"), "libcompiled.so.1"},
		"shared unoptimised": {append(shared, "-O0"), "libcompiled.so.1"},
		"semaphores":         {append(shared, "-O2", "-DSEMAPHORES"), "libcompiled.so.1"},
		"pie":                {[]string{"-O2", "-pie", "-fPIE", "-DPROGRAM", "-Wl,--build-id"}, ""},
		"fixed":              {[]string{"-O2", "-no-pie", "-fno-pie", "-DPROGRAM", "-Wl,--build-id"}, ""},
		"static":             {[]string{"-O2", "-static", "-DPROGRAM", "-Wl,--build-id"}, ""},
		"small":              {append(shared, "-Os", "-fomit-frame-pointer", "-fcf-protection=none"), "libcompiled.so.1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := compile(t, "gcc", slices.Clone(test.flags)...)
			f, err := Open(path)
			if err != nil {
				t.Fatal(err)
			}
			if f.Problems != nil || f.Soname != test.soname || len(f.BuildID) != 40 {
				t.Errorf("problems %v, soname %q, build id %q", f.Problems, f.Soname, f.BuildID)
			}
			if got := probesOf(f.Sites); !slices.Equal(got, firedProbes) {
				t.Fatalf("got %v, want %v", got, firedProbes)
			}
			checkCompiled(t, path, f, slices.Contains(test.flags, "-DSEMAPHORES"))
		})
	}
}

// checkCompiled compares addresses and offsets in f with those that debug/elf reads from the file.
func checkCompiled(t *testing.T, path string, f *File, semaphores bool) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	checkFile(t, f, nil, info.Size())
	reference, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer reference.Close()
	symbols, err := reference.Symbols()
	if err != nil {
		t.Fatal(err)
	}
	address := make(map[string]elf.Symbol)
	for _, s := range symbols {
		address[s.Name] = s
	}
	inside, entry := address["fire_all"], address["gnutls_handshake"]
	text := reference.Section(".text")
	data, err := text.Data()
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range f.Sites {
		if s.Offset != s.Address-text.Addr+text.Offset || file[s.Offset] != data[s.Address-text.Addr] {
			t.Errorf("%+v is not where section .text has it", s)
		}
		if s.Probe == SessionEnter {
			if s.Address != entry.Value {
				t.Errorf("%+v, want address %#x", s, entry.Value)
			}
			continue
		}
		if s.Address < inside.Value || s.Address >= inside.Value+inside.Size {
			t.Errorf("%+v lies outside of fire_all", s)
		}
		if f.Machine == elf.EM_X86_64 && file[s.Offset] != 0x90 {
			t.Errorf("%+v: %#x is not a nop", s, file[s.Offset])
		}
		if semaphores != (s.RefCtrOffset != 0) {
			t.Errorf("%+v", s)
		} else if semaphores {
			section := reference.Section(".probes")
			want := address["crypto_auditing_"+s.Probe.String()+"_semaphore"].Value - section.Addr + section.Offset
			if s.RefCtrOffset != want {
				t.Errorf("%s: semaphore at %#x, want %#x", s.Probe, s.RefCtrOffset, want)
			}
		}
		for _, a := range s.Args {
			if a.Kind == Memory && a.Base == x86IP && f.Machine == elf.EM_X86_64 {
				if got := s.Address + uint64(a.Value); got != address["counter"].Value {
					t.Errorf("%q is at %#x, want %#x", s.Spec, got, address["counter"].Value)
				}
			}
		}
	}
	if c := f.Sites[0].Args[1]; c != (Operand{Const, 8, true, 0, none, none, 1, -1}) {
		t.Errorf("no parent: %+v", c)
	}
	if c := f.Sites[5].Args[2]; c != (Operand{Const, 8, false, 0, none, none, 1, 2}) {
		t.Errorf("array length: %+v", c)
	}
}

// TestReadCrossCompiled reads the probes that an arm64 cross compiler emits. It uses <sys/sdt.h> of the build machine,
// which is the same for every architecture.
func TestReadCrossCompiled(t *testing.T) {
	t.Parallel()
	const compiler = "aarch64-linux-gnu-gcc"
	needs.Program(t, compiler)
	headers := t.TempDir()
	if err := os.Mkdir(filepath.Join(headers, "sys"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"sdt.h", "sdt-config.h"} {
		found := false
		for _, dir := range []string{"/usr/include/sys", "/usr/include/x86_64-linux-gnu/sys", "/usr/include/aarch64-linux-gnu/sys"} {
			data, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				continue
			}
			found = true
			if err := os.WriteFile(filepath.Join(headers, "sys", name), data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if !found {
			needs.Missing(t, "no %s", name)
		}
	}
	path := compile(t, compiler, "-I", headers, "-O0", "-shared", "-fPIC", "-Wl,-soname,libcompiled.so.1")
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := probesOf(f.Sites); !slices.Equal(got, firedProbes) || f.Problems != nil || f.Machine != elf.EM_AARCH64 {
		t.Fatalf("%s: %v, problems %v", f.Machine, got, f.Problems)
	}
	checkCompiled(t, path, f, false)
}

const foldedSource = `
#include "crau.h"
__attribute__((noinline)) void weak(unsigned long c, const char *k) { CRAU_WORD_DATA(c, k, 1024); }
__attribute__((noinline)) void strong(unsigned long c, const char *k) { CRAU_WORD_DATA(c, k, 4096); }
int main(int argc, char **argv) { (void)argv; weak(argc, "app::weak"); strong(argc, "app::strong"); CRAU_NEW_CONTEXT(argc, -1); return 0; }
`

// If the linker has merged two functions that differ only in the constants in their notes, the place is skipped and
// reported.
func TestReadFoldedFunctions(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("ld.gold"); err != nil {
		needs.Missing(t, "%v", err)
	}
	f, err := Open(compileSource(t, foldedSource, "-ffunction-sections", "-fuse-ld=gold", "-Wl,--icf=all"))
	if err != nil || !slices.Equal(probesOf(f.Sites), []Probe{NewContext}) || len(f.Problems) != 1 {
		t.Fatalf("got %+v, %v", f, err)
	}
	for _, want := range []string{"another note of this place differs", "8@$1024", "8@$4096"} {
		if !strings.Contains(f.Problems[0].Error(), want) {
			t.Errorf("%v; want %q", f.Problems[0], want)
		}
	}
}
