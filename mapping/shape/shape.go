// SPDX-License-Identifier: Apache-2.0

package shape

import (
	"hash/maphash"
	"slices"
	"unsafe"

	"github.com/crau-otel/crau-otel/mapping/schema"
)

// Shape is everything that determines the meaning of a finished tree, or of the part of a tree that is shed.
type Shape struct {
	Head   Head
	Traits []Trait // one per context, parents before their children; the root is first
	Data   []Datum // data of all contexts, in the order of Traits: see Trait.Data
}

// Head contains what applies to the tree as a whole.
type Head struct {
	Executable string // name of the program
	UserClass  string // class of the process's user, such as "regular"; "" if unknown
	Owner      string // class of the owner that the process counts against
	Trust      ProcessTrust
	End        EndReason
	Pieces     int // number of pieces that were joined to the first piece of the handshake
	Join       JoinMethod
	Wire       JoinMethod // how package wire's tree was joined to this library's tree; JoinNone if none was
}

// ProcessTrust says whether a process's own reports can be believed. The trust of the file with the probe does not
// decide that: any program can map the file and jump to the probe.
type ProcessTrust string

// The values. Their comments are part of docs/attributes.md.
const (
	TrustRoot        ProcessTrust = "root"         // runs as the host's root, and executed only files that nobody but root can write
	TrustSystem      ProcessTrust = "system"       // runs as a user for services, and executed only files that nobody but root can write
	TrustContainer   ProcessTrust = "container"    // in a container, whose root decides what runs there
	TrustUser        ProcessTrust = "user"         // of a user, who can make any program of theirs report anything
	TrustForeignCode ProcessTrust = "foreign_code" // runs as root or for a service, and executed a file that others can write, or one of another mount namespace
	TrustUnknown     ProcessTrust = "unknown"      // could not be examined: it had ended, it was one of too many, or the agent may not read its maps
)

// Trait is one context, apart from its data.
type Trait struct {
	Name       schema.Name
	Parent     int32  // index of the parent in Shape.Traits, -1 for the root
	Data       int32  // number of the context's elements in Shape.Data, after those of earlier contexts
	File       uint32 // file that opened the context
	Dropped    int32  // number of pairs that were dropped over the limit
	Parentage  Parentage
	Superseded bool // another context replaced this one
	Incomplete bool // some of its data was lost
	Open       bool // still open: included so that contexts below it can be judged, but not a span yet

	// Carry is what package meaning returned for this context when contexts below it were shed; nil if none have been
	// shed.
	Carry any
}

// EndReason is why the end of a context was inferred. Libraries do not report ends.
type EndReason string

// The reasons. Their comments are part of docs/attributes.md.
const (
	EndIdle       EndReason = "idle"           // no event arrived for the tree during the idle timeout
	EndExit       EndReason = "process_exit"   // the process ended
	EndSuperseded EndReason = "superseded"     // another context replaced it
	EndShutdown   EndReason = "shutdown"       // crau-otel stopped
	EndEvicted    EndReason = "evicted"        // a limit was reached
	EndObserved   EndReason = "observed"       // the connection showed the end: it is encrypted, failed or closed
	EndClosed     EndReason = "session_closed" // the program closed the session
)

// Parentage says what is in doubt about the parent that a context names.
type Parentage string

// The values. Their comments are part of docs/attributes.md.
const (
	ParentCertain  Parentage = ""         // no doubt: it names no parent, or one that is open
	ParentUnknown  Parentage = "unknown"  // the named parent is not open
	ParentCyclic   Parentage = "cyclic"   // the named parent is below a context of the same id
	ParentInferred Parentage = "inferred" // the named parent is impossible; the schema decided
	ParentMissing  Parentage = "missing"  // data arrived for a context whose opening was not seen
)

// JoinMethod is how the pieces of a handshake, or the trees of a library and of package wire, were joined.
type JoinMethod string

// The methods.
const (
	JoinNone     JoinMethod = ""
	JoinExact    JoinMethod = "exact"    // by the session that the library was called for
	JoinInferred JoinMethod = "inferred" // pieces: by thread, context id, and what earlier pieces lack; trees: by thread
)

// Equal reports whether all fields of two shapes are equal.
func (s *Shape) Equal(other *Shape) bool {
	return s.Head == other.Head && slices.Equal(s.Traits, other.Traits) && slices.Equal(s.Data, other.Data)
}

// Clone returns a copy that shares no memory with the shape.
func (s *Shape) Clone() Shape {
	return Shape{Head: s.Head, Traits: slices.Clone(s.Traits), Data: slices.Clone(s.Data)}
}

// Size returns approximately how much memory the shape takes, in bytes.
func (s *Shape) Size() int {
	size := len(s.Traits) * int(unsafe.Sizeof(Trait{}))
	for i := range s.Data {
		size += s.Data[i].Size()
	}
	return size
}

// Hash returns a hash of the shape. To be fast, it hashes the addresses of most texts instead of their bytes, which
// takes a tenth of the time. Equal texts therefore only have equal hashes if they share memory, as interned texts do.
// Shapes with equal hashes may differ.
func (s *Shape) Hash(seed maphash.Seed) uint64 {
	const odd = 0x9E3779B97F4A7C15
	h := maphash.String(seed, s.Head.Executable) + uint64(s.Head.Pieces) + uint64(len(s.Head.End))<<8 +
		address(s.Head.Owner)<<1 + address(string(s.Head.Trust))<<2
	for i := range s.Traits {
		t := &s.Traits[i]
		h = (h ^ h>>29 ^ address(t.Name.Text)) * odd
		h += uint64(i-int(t.Parent))<<16 + uint64(t.Data)
	}
	for i := range s.Data {
		d := &s.Data[i]
		h = (h ^ h>>29 ^ address(d.Key.Emitted) ^ address(d.Text)<<20 ^ d.Word) * odd
	}
	return h
}

// address returns the memory address of a text.
func address(s string) uint64 {
	return uint64(uintptr(unsafe.Pointer(unsafe.StringData(s)))) //nolint:gosec // a number to tell texts apart by
}
