// SPDX-License-Identifier: Apache-2.0

package probes

import (
	"debug/elf"
	"errors"
	"fmt"
	"io"
)

// ErrNotELF is returned, wrapped with the path, for a file that is not an ELF file.
var ErrNotELF = errors.New("not an ELF file")

// ErrNoProbes is returned, wrapped with the path, for an ELF file without a note of one of our providers.
var ErrNoProbes = errors.New("no crypto_auditing probes")

// Site is one place in a file where a probe stands, or the entry of a library function.
type Site struct {
	Probe        Probe
	Address      uint64 // virtual address in the file, after the adjustment for prelink
	Offset       uint64 // file offset to attach to
	RefCtrOffset uint64 // file offset of the semaphore, 0 if none
	Args         []Operand
	Spec         string // argument string of the note, for listings; for entry points the symbol's name

	fastNops []fastNop // nops of the site, apart from the first; see NopSupport
}

// File describes the probes of one ELF file.
type File struct {
	Path    string
	Machine elf.Machine
	BuildID string // lower-case hex of NT_GNU_BUILD_ID, "" if none
	Soname  string // DT_SONAME, "" if none
	Strings Strings

	// Sites contains at most 4096 USDT sites in the order of their notes, followed by the entry points. No two sites have
	// the same probe and offset.
	Sites []Site

	// Problems contains an error for each skipped note, at most 16. If there are more, a last error "and N more" gives
	// their number.
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

// BuildID returns the GNU build id of an ELF file of size bytes as lower-case hex, or "" if it has none. It returns
// [ErrNotELF] or an error that describes the damage of the file.
func BuildID(r io.ReaderAt, size int64) (string, error) {
	im, err := newImage(r, size)
	if err != nil {
		return "", err
	}
	return im.buildID(), nil
}

// Read reads a file of size bytes. path is used in errors only. Besides [ErrNotELF], [ErrNoProbes] and
// [ErrUnsupported], Read returns errors for ELF files that are damaged or neither programs nor shared objects. If the
// file has notes but none is usable, Read returns the File with its Problems, and an error that joins them.
func Read(r io.ReaderAt, size int64, path string) (*File, error) {
	im, err := newImage(r, size)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	var failed problems
	notes := im.notes(&failed)
	if len(notes) == 0 && len(failed.errs) == 0 {
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
