// SPDX-License-Identifier: Apache-2.0

package probes

import (
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// ErrNotELF is returned, wrapped with the path, for a file that is no ELF file.
var ErrNotELF = errors.New("not an ELF file")

// ErrNoProbes is returned, wrapped with the path, for an ELF file without a
// single note of provider crypto_auditing.
var ErrNoProbes = errors.New("no crypto_auditing probes")

// Site is a place to attach to.
type Site struct {
	Probe        Probe
	Address      uint64 // virtual address in the file, after the adjustment for prelink
	Offset       uint64 // file offset to attach to
	RefCtrOffset uint64 // file offset of the semaphore, 0 if none
	Args         []Operand
	Spec         string // argument string of the note, for listings; for SessionEnter the symbol's name
}

// File is what one ELF file says about its probes.
type File struct {
	Path    string
	Machine elf.Machine
	BuildID string // lower-case hex of NT_GNU_BUILD_ID, "" if none
	Soname  string // DT_SONAME, "" if none
	Strings Strings

	// Sites are at most 4096 USDT sites in the order of the notes, then the
	// SessionEnter sites. No two have both probe and offset in common.
	Sites []Site

	// Problems name the notes that were left out, and why. Past 16 they are
	// only counted, in a last error "and N more".
	Problems []error
}

// Open reads the regular file at path. Errors name the path.
func Open(path string) (*File, error) {
	f, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return Read(f, info.Size(), path)
}

// BuildID returns the GNU build id of an ELF file of size bytes as lower-case
// hex, "" if it has none. Besides [ErrNotELF] it fails on damaged files.
func BuildID(r io.ReaderAt, size int64) (string, error) {
	im, err := newImage(r, size)
	if err != nil {
		return "", err
	}
	return im.buildID(), nil
}

// openRegular opens a regular file for reading.
func openRegular(path string) (_ *os.File, err error) {
	// Opening a FIFO must not wait for a writer, nor a terminal become ours.
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("open %s: not a regular file", path)
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// Read reads a file of size bytes; path only names it. Besides [ErrNotELF] and
// [ErrNoProbes] it fails on ELF files that are damaged or of a kind that cannot
// be attached to. Where there are notes but no usable one, it returns the File
// with its Problems and an error joining them.
func Read(r io.ReaderAt, size int64, path string) (*File, error) {
	im, err := newImage(r, size)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	var failed problems
	notes := im.notes(&failed)
	if len(notes) == 0 && len(failed.kept) == 0 {
		return nil, fmt.Errorf("read %s: %w", path, ErrNoProbes)
	}

	f := &File{Path: path, Machine: im.machine, BuildID: im.buildID(), Soname: im.soname(), Strings: im.strings()}
	f.Sites = im.sites(notes, &failed)
	if len(f.Sites) > 0 {
		f.Sites = append(f.Sites, im.sessionSites(&failed)...)
	}
	f.Problems = failed.all()
	if len(f.Sites) == 0 {
		return f, fmt.Errorf("read %s: no usable probe: %w", path, errors.Join(f.Problems...))
	}
	return f, nil
}
