// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// MapCode maps the first page of a file as executable, until the test ends or unmaps it.
func MapCode(t testing.TB, file string) []byte {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	code, err := unix.Mmap(int(f.Fd()), 0, os.Getpagesize(), unix.PROT_READ|unix.PROT_EXEC, unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Munmap(code) })
	return code
}
