// SPDX-License-Identifier: Apache-2.0

package probes

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/crau-otel/crau-otel/test/needs"
)

// source32 is the assembler source of a 32-bit library with one note. link32 replaces PROVIDER by the name of a
// provider.
const source32 = `
	.section .note.stapsdt,"","note"
	.balign 4
	.4byte 8, 2f-1f, 3
	.asciz "stapsdt"
1:	.4byte 0x1000, 0, 0
	.asciz "PROVIDER"
	.asciz "new_context"
	.asciz "4@%eax 4@%ebx"
2:	.balign 4
	.text
	nop
`

func link32(t *testing.T, provider string) string {
	t.Helper()
	dir := t.TempDir()
	object, library := filepath.Join(dir, "a.o"), filepath.Join(dir, "a.so")
	as := exec.Command("as", "--32", "-o", object, "-")
	as.Stdin = strings.NewReader(strings.ReplaceAll(source32, "PROVIDER", provider))
	for _, c := range []*exec.Cmd{as, exec.Command("ld", "-m", "elf_i386", "-shared", "-o", library, object)} {
		if out, err := c.CombinedOutput(); err != nil {
			needs.Missing(t, "%v: %v\n%s", c, err, out)
		}
	}
	return library
}

// A file with probes that cannot be attached to is reported differently from a file without probes.
func TestReadUnsupportedKinds(t *testing.T) {
	t.Parallel()
	if f, err := Open(link32(t, provider)); f != nil || !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), "ELFCLASS32") {
		t.Errorf("32-bit file with probes: %v, %v", f, err)
	}
	if f, err := Open(link32(t, "openssl")); f != nil || !errors.Is(err, ErrUnsupported) {
		t.Errorf("32-bit file with OpenSSL's probes: %v, %v", f, err)
	}
	if f, err := Open(link32(t, "libc")); f != nil || !errors.Is(err, ErrNoProbes) || errors.Is(err, ErrUnsupported) {
		t.Errorf("32-bit file without probes: %v, %v", f, err)
	}
	// A damaged file may be reported as either, because its notes may be unreadable.
	content, err := os.ReadFile(link32(t, "libc"))
	if err != nil {
		t.Fatal(err)
	}
	for n := 52; n < len(content); n += 16 {
		if _, err := Read(bytes.NewReader(content[:n]), int64(n), "cut"); !errors.Is(err, ErrUnsupported) && !errors.Is(err, ErrNoProbes) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

func TestProgramForAnotherMachineIsNotAttached(t *testing.T) {
	requireBPF(t)
	foreign := map[string]string{"amd64": "aarch64-linux-gnu-gcc", "arm64": "x86_64-linux-gnu-gcc"}[runtime.GOARCH]
	// <sys/sdt.h> is the same for every machine, but Debian installs it where only the native compiler looks.
	native := map[string]string{"amd64": "x86_64-linux-gnu", "arm64": "aarch64-linux-gnu"}[runtime.GOARCH]
	path := compile(t, foreign, "-O2", "-shared", "-fPIC", "-idirafter", "/usr/include/"+native)
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.CheckNative(); !errors.Is(err, ErrUnsupported) {
		t.Errorf("CheckNative: %v", err)
	}
	program, _ := counter(t, true)
	a, err := Attach(path, program, true, f.Sites, cookiesFrom(1, f.Sites))
	if a != nil || !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), path) {
		t.Errorf("got %+v, %v", a, err)
	}
}

// If another tracer has attached to a site without its semaphore, Attach reports this site with errOtherTracer and
// attaches to the remaining sites.
func TestAttachBesideAnotherTracer(t *testing.T) {
	eachMode(t, func(t *testing.T, multi bool) {
		path := compile(t, "gcc", "-O2", "-DPROGRAM", "-DSEMAPHORES")
		f, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if f.Sites[0].RefCtrOffset == 0 {
			t.Fatal("no semaphore")
		}
		without := f.Sites[0]
		without.RefCtrOffset = 0
		program, _ := counter(t, multi)
		other, err := Attach(path, program, multi, []Site{without}, []uint64{1})
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		a, err := Attach(path, program, multi, f.Sites, cookiesFrom(1, f.Sites))
		if a == nil || a.Attached() != len(f.Sites)-1 || !errors.Is(err, errOtherTracer) {
			t.Fatalf("got %+v, %v", a, err)
		}
		if strings.Count(err.Error(), f.Sites[0].Probe.String()+" at offset") != 1 {
			t.Errorf("the error names another site: %v", err)
		}
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
}
