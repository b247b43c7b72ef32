// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/crau-otel/crau-otel/probes/untraced"
	"github.com/crau-otel/crau-otel/test/needs"
)

// copiesMiddle replaces one page of its code, between others, by a copy in anonymous memory. Without arguments it does
// not fire its probe.
const copiesMiddle = `
	#define _GNU_SOURCE
	#include <stdio.h>
	#include <string.h>
	#include <sys/mman.h>
	#include <unistd.h>
	#include "crau.h"
	#define PAGE 4096
	extern char middle[];
	__asm__(".text\n.balign 4096\nmiddle: .fill 8192, 1, 0x90\n");
	int main(int argc, char **argv)
	{
		(void)argv;
		puts("ready");
		fflush(stdout);
		getchar();
		void *copy = mmap(0, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		memcpy(copy, middle, PAGE);
		mprotect(copy, PAGE, PROT_READ | PROT_EXEC);
		puts(mremap(copy, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, middle) == middle ? "copied" : "failed");
		fflush(stdout);
		if (argc > 1) {
			crau_push(CRAU_NAME("pk::sign"), CRAU_STRING("pk::algorithm", "ED25519"));
			crau_pop();
		}
		for (;;)
			pause();
	}`

// A program of an ordinary user that copies a part of its code is left alone, even if its file was known before, and if
// the copy is not the first mapping of the file.
func TestProgramOfAUserThatCopiesAPartOfItsCodeIsLeftAlone(t *testing.T) {
	t.Parallel()
	needs.Root(t)
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil { // the user must reach the program
		t.Fatal(err)
	}
	program := compile(t, dir, "copies-middle", copiesMiddle)
	cmd := exec.Command(program)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	c := start(t, cmd)
	w := discover(t, Config{Rules: Rules{Enabled: true}, Interval: 20 * time.Millisecond}, dir)
	w.scan(t)
	w.expect(t, "+"+program)
	if answer := c.tell(t, ""); answer != "copied" {
		t.Fatalf("the program says %q", answer)
	}
	w.scan(t)
	w.expect(t, "+"+program, "-"+program)
	w.run(t) // reads the file again, so that it stays listed
	isListed := func() bool {
		return slices.ContainsFunc(w.Inventory(), func(e Entry) bool { return e.Path == program && e.Untraced == untraced.Copied })
	}
	for deadline := time.Now().Add(10 * time.Second); !isListed(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the program is not listed as copied: %+v", w.Inventory())
		}
	}
}
