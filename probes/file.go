// SPDX-License-Identifier: Apache-2.0

package probes

import (
	"debug/elf"
	"errors"
	"fmt"
	"io"
)

// ErrNotELF is returned for a file that is not an ELF file.
var ErrNotELF = errors.New("not an ELF file")

// ErrNoProbes is returned for an ELF file without crypto_auditing probes, under this provider name or under openssl.
var ErrNoProbes = errors.New("no crypto_auditing probes")

// Site is one place in a file where a probe stands, or the entry of a library function.
type Site struct {
	Probe        Probe
	Address      uint64 // virtual address in the file, corrected if prelink has moved the file
	Offset       uint64 // file offset at which to attach
	RefCtrOffset uint64 // file offset of the semaphore; 0 if the site has none
	Args         []Operand
	Spec         string // for listings: the argument string of the note, or the symbol of an entry point

	fastNops []fastNop // nops behind the one at Offset; see NopSupport
}

// File describes the probes of one ELF file.
type File struct {
	Path    string
	Machine elf.Machine
	BuildID string // lower-case hex of NT_GNU_BUILD_ID; "" if the file has none
	Soname  string // DT_SONAME; "" if the file has none
	Strings Strings

	// Sites contains at most 4096 USDT sites in the order of their notes, followed by the entry points. No two sites have
	// the same probe and offset.
	Sites []Site

	// Problems contains at most 16 errors about notes and entry points that were skipped. If there were more, a last error
	// "and N more" gives the number of the others.
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

// BuildID returns the GNU build id of an ELF file of size bytes as lower-case hex, or "" if it has none. Besides
// [ErrNotELF], it returns errors for files that are damaged or of a kind that this package does not support.
func BuildID(r io.ReaderAt, size int64) (string, error) {
	im, err := newImage(r, size)
	if err != nil {
		return "", err
	}
	return im.buildID(), nil
}

// Read reads a file of size bytes. path is only used in errors and as the Path of the File. Besides [ErrNotELF],
// [ErrNoProbes] and [ErrUnsupported], Read returns errors for ELF files that are damaged or neither programs nor shared
// objects. If the file has notes of crypto_auditing probes but none is usable, Read returns the File with its Problems,
// and an error that joins the Problems.
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
