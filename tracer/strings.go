// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"bytes"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/crau-otel/crau-otel/bpf"
)

// maxStrings is the number of bytes for the copies of all files' strings.
const maxStrings = 32 << 20

// ErrTooManyStrings is returned by AddStrings if the copies of other files' strings leave no room.
var ErrTooManyStrings = errors.New("no room for another file's strings")

// stringTable has copies of the read-only strings of files. Records contain offsets into these copies. All methods
// except find require Tracer.mu to be held.
type stringTable struct {
	files    map[uint32]*fileStrings
	sites    map[uint32]uint32 // files of sites, by cookie
	size     int               // bytes of all files
	released []uint32          // files without sites, whose records may still be in the ring

	// The files that find uses. The map is replaced, never modified.
	current atomic.Pointer[map[uint32][]byte]
}

type fileStrings struct {
	address uint64 // virtual address in the file
	content []byte
	room    uint32 // a string can start in this many bytes
	sites   int
}

func newStringTable() *stringTable {
	s := &stringTable{files: make(map[uint32]*fileStrings), sites: make(map[uint32]uint32)}
	s.publish()
	return s
}

// add adds the strings of a file. Sites that are added from now on refer to them.
func (s *stringTable) add(file uint32, address uint64, content []byte) error {
	old := 0
	if f := s.files[file]; f != nil {
		old = len(f.content)
	}
	if s.size-old+len(content) > maxStrings {
		return fmt.Errorf("%w: the limit is %d bytes", ErrTooManyStrings, maxStrings)
	}
	s.size += len(content) - old
	s.files[file] = &fileStrings{address: address, content: content, room: room(content)}
	s.publish()
	return nil
}

// room returns the number of bytes at the start of content in which a string can begin such that content has all of it
// that the kernel would read. Strings that begin behind are read by the kernel.
func room(content []byte) uint32 {
	const most = int(bpf.AuditCrauLimitCRAU_MAX_VALUE)
	return uint32(max(0, len(content)-most, bytes.LastIndexByte(content, 0)+1))
}

// use sets the location of the file's strings in the specification of a site.
func (s *stringTable) use(cookie uint32, spec *bpf.AuditCrauSpec) {
	spec.Strings, spec.StringsLen = 0, 0
	f := s.files[spec.File]
	if f == nil {
		return
	}
	spec.Strings, spec.StringsLen = f.address, f.room
	f.sites++
	s.sites[cookie] = spec.File
}

// leave removes a site.
func (s *stringTable) leave(cookie uint32) {
	file, ok := s.sites[cookie]
	if !ok {
		return
	}
	delete(s.sites, cookie)
	if f := s.files[file]; f != nil {
		if f.sites--; f.sites == 0 {
			s.released = append(s.released, file)
		}
	}
}

// forget drops the strings of files that have no sites.
func (s *stringTable) forget(files []uint32) {
	for _, file := range files {
		if f := s.files[file]; f != nil && f.sites == 0 {
			s.size -= len(f.content)
			delete(s.files, file)
		}
	}
	s.publish()
}

func (s *stringTable) publish() {
	current := make(map[uint32][]byte, len(s.files))
	for file, f := range s.files {
		current[file] = f.content
	}
	s.current.Store(&current)
}

// find returns the content of a file's copy from an offset on.
func (s *stringTable) find(file, offset uint32) ([]byte, bool) {
	content := (*s.current.Load())[file]
	if uint64(offset) >= uint64(len(content)) {
		return nil, false
	}
	return content[offset:], true
}
