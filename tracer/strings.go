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

// stringTable has the read-only strings of files: of those the kernel only says where they are. All but find is
// called with Tracer.mu held.
type stringTable struct {
	files    map[uint32]*fileStrings
	sites    map[uint32]uint32 // files of sites, by cookie
	size     int               // bytes of all files
	released []uint32          // files that have lost their last site; records of theirs may still lie in the ring

	// What find looks at: a map that nobody changes.
	current atomic.Pointer[map[uint32][]byte]
}

type fileStrings struct {
	address uint64 // virtual address in the file
	content []byte
	room    uint32 // where a string can start
	sites   int
}

func newStringTable() *stringTable {
	s := &stringTable{files: make(map[uint32]*fileStrings), sites: make(map[uint32]uint32)}
	s.publish()
	return s
}

// add makes the strings of a file known; sites are told of them from now on.
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

// room returns in how many of the first bytes a string can start that the content has as much of as is worth reading:
// its NUL or one byte too many. The kernel reads what starts behind these itself.
func room(content []byte) uint32 {
	const most = int(bpf.AuditCrauLimitCRAU_MAX_VALUE)
	return uint32(max(0, len(content)-most, bytes.LastIndexByte(content, 0)+1))
}

// use tells a site where its file's strings are.
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

// leave says that a site is no more.
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

// forget drops the strings of files that have no site any more.
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

// find returns what a file has from that offset on.
func (s *stringTable) find(file, offset uint32) ([]byte, bool) {
	content := (*s.current.Load())[file]
	if uint64(offset) >= uint64(len(content)) {
		return nil, false
	}
	return content[offset:], true
}
