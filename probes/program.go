// SPDX-License-Identifier: Apache-2.0

package probes

import (
	"debug/elf"
	"io"
)

// Program reports whether an ELF file of size bytes is a program that a dynamic loader runs, and returns its GNU build
// id. Some libraries, such as libc.so.6, also name a loader, because they can be executed. A file counts as such a
// library if it has a DT_SONAME, and no flag DF_1_PIE.
func Program(r io.ReaderAt, size int64) (isProgram bool, buildID string, err error) {
	im, err := newImage(r, size)
	if err != nil {
		return false, "", err
	}
	for _, s := range im.segments {
		isProgram = isProgram || elf.ProgType(s.Type) == elf.PT_INTERP
	}
	if isProgram && elf.Type(im.header.Type) != elf.ET_EXEC {
		named, pie := false, false
		for _, e := range im.dynamic() {
			switch elf.DynTag(e.Tag) {
			case elf.DT_SONAME:
				named = true
			case elf.DT_FLAGS_1:
				pie = elf.DynFlag1(e.Val)&elf.DF_1_PIE != 0
			}
		}
		isProgram = pie || !named
	}
	return isProgram, im.buildID(), nil
}
