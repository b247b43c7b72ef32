// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"bytes"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/crau-otel/crau-otel/bpf"
)

// maxStrings is the default limit of the bytes of all copies of strings.
const maxStrings = 32 << 20

// ownerShare is a divisor: the files of one owner may use 1/ownerShare of the limit. The same part is reserved for
// files without an owner, which only root can write.
const ownerShare = 4

// ErrTooManyStrings is returned by AddStrings if the copies of other files' strings leave no room.
var ErrTooManyStrings = errors.New("no room for another file's strings")

// stringTable has copies of the read-only strings of files. Records contain offsets into these copies. All methods
// except find and text require Tracer.mu to be held; text must only be called by the reader of the ring.
//
// A copy belongs to the file number for which it was added. It is used by the sites that are added from then on, until
// all of them have been removed. Later sites do not use it, so that no offset is resolved in the copy of another file,
// even if a file number is used twice.
type stringTable struct {
	files    map[uint32]*fileStrings
	sites    map[uint32]*fileStrings // strings to which a site refers, by the site's index
	limit    int                     // bytes that the strings of all files may have
	size     int                     // bytes of the strings of all files
	owned    map[string]int          // bytes of the strings of all files of an owner
	released []uint32                // numbers of files without sites, whose records may still be in the ring

	// current is the content of all files, by file number. find reads it without a lock, so the map is replaced and never
	// modified.
	current atomic.Pointer[map[uint32][]byte]
	recent  recentStrings
}

// recentStrings remembers recently used strings: programs report the same few strings repeatedly, and a lookup costs as
// much as decoding the rest of a pair.
type recentStrings struct {
	from  *map[uint32][]byte // stringTable.current at the lookup of the strings
	slots [256]recentString
}

// recentString is a string and the arguments that it was looked up with.
type recentString struct {
	file, offset uint32
	limit        int
	text         []byte
	cut          bool
}

type fileStrings struct {
	number   uint32
	owner    string
	address  uint64 // virtual address in the file
	content  []byte
	room     uint32 // bytes at the start of content in which a string may begin
	sites    int
	released bool // the file had sites, and all of them have been removed
}

func newStringTable() *stringTable {
	s := &stringTable{limit: maxStrings, files: make(map[uint32]*fileStrings), sites: make(map[uint32]*fileStrings), owned: make(map[string]int)}
	s.publish()
	return s
}

// add adds the strings of a file. Sites that are added from now on refer to them.
func (s *stringTable) add(file uint32, owner string, address uint64, content []byte) error {
	if s.files[file] != nil {
		return fmt.Errorf("the file number %d is in use", file)
	}
	if !s.fits(owner, len(content)) {
		s.dropUnused()
	}
	if !s.fits(owner, len(content)) {
		return fmt.Errorf("%w: the limit is %d bytes, of one owner %d", ErrTooManyStrings, s.limit, s.limit/ownerShare)
	}
	s.size += len(content)
	s.owned[owner] += len(content)
	s.files[file] = &fileStrings{number: file, owner: owner, address: address, content: content, room: room(content)}
	s.publish()
	return nil
}

// fits reports whether there is room for more bytes of an owner.
func (s *stringTable) fits(owner string, more int) bool {
	if owner == "" {
		return s.size+more <= s.limit
	}
	ownerLimit := s.limit / ownerShare
	return s.owned[owner]+more <= ownerLimit && s.size-s.owned[""]+more <= s.limit-ownerLimit && s.size+more <= s.limit
}

// dropUnused drops copies that no site has used yet, such as those of files that could not be attached. If a site of
// such a file is added later, the kernel reads its strings.
func (s *stringTable) dropUnused() {
	for _, f := range s.files {
		if f.sites == 0 && !f.released {
			s.drop(f)
		}
	}
}

func (s *stringTable) drop(f *fileStrings) {
	s.size -= len(f.content)
	if s.owned[f.owner] -= len(f.content); s.owned[f.owner] == 0 {
		delete(s.owned, f.owner)
	}
	delete(s.files, f.number)
}

// room returns the number of bytes at the start of content where a string may begin. For these strings, content
// includes everything that the kernel would read. Strings that begin after that are read by the kernel.
func room(content []byte) uint32 {
	const most = int(bpf.AuditCrauLimitCRAU_MAX_VALUE)
	return uint32(max(0, len(content)-most, bytes.LastIndexByte(content, 0)+1))
}

// use sets the location of the file's strings in the specification of a new site.
func (s *stringTable) use(cookie uint32, spec *bpf.AuditCrauSpec) {
	spec.Strings, spec.StringsLen = 0, 0
	f := s.files[spec.File]
	if f == nil || f.released {
		return
	}
	spec.Strings, spec.StringsLen = f.address, f.room
	f.sites++
	s.sites[cookie] = f
}

// leave records that a site no longer refers to its file's strings.
func (s *stringTable) leave(cookie uint32) {
	f, ok := s.sites[cookie]
	if !ok {
		return
	}
	delete(s.sites, cookie)
	if f.sites--; f.sites == 0 {
		f.released = true
		s.released = append(s.released, f.number)
	}
}

// forget drops the strings of released files.
func (s *stringTable) forget(files []uint32) {
	for _, file := range files {
		if f := s.files[file]; f != nil && f.released {
			s.drop(f)
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

// text returns the string that begins at an offset of a file's copy, shortened by truncated. ok reports whether the
// copy has that offset.
func (s *stringTable) text(file, offset uint32, limit int) (text []byte, cut, ok bool) {
	if current := s.current.Load(); s.recent.from != current {
		s.recent = recentStrings{from: current}
	}
	const odd = 0x9E3779B1
	known := &s.recent.slots[(file<<16^offset)*odd>>24]
	if known.text != nil && known.file == file && known.offset == offset && known.limit == limit {
		return known.text, known.cut, true
	}
	content, ok := s.find(file, offset)
	if !ok {
		return nil, false, false
	}
	text, cut = truncated(content, limit)
	*known = recentString{file, offset, limit, text, cut}
	return text, cut, true
}
