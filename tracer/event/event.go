// SPDX-License-Identifier: Apache-2.0

// Package event defines Event, the decoded form of a record of the kernel's ring buffer.
//
// An Event is either one hit of a probe site (NewContext, Data, SessionEnter, SessionLeave) or a fact about a process
// (ProcessStart, ProcessExit). Package tracer decodes events and package mapping turns them into span trees. The
// package is plain data and depends on nothing, so that mapping can be built and tested without the kernel.
//
// For example, a TLS handshake starts with these events of one thread:
//
//	{Kind: ProcessStart, PID: 4711, Process: {Executable: "nginx", ...}}
//	{Kind: NewContext, PID: 4711, Context: 0x1, Parent: NoParent, Pairs: {name="tls::handshake"}}
//	{Kind: Data, PID: 4711, Context: 0x1, Pairs: {tls::protocol_version=0x0304}}
package event

// Kind is the kind of an event.
type Kind uint8

const (
	// NewContext opens Event.Context as a child of Event.Parent. It may have pairs.
	NewContext Kind = iota
	// Data adds pairs to Event.Context.
	Data
	// SessionEnter reports that the thread starts to work on the library session in Event.Context.
	SessionEnter
	// SessionLeave reports that the library releases the session in Event.Context.
	SessionLeave
	// ProcessStart describes a process. It precedes the process's first other event.
	ProcessStart
	// ProcessExit reports that the process's last thread exits.
	ProcessExit
	// ContextEnd reports that Event.Context has ended. Only package wire creates it: libraries do not report ends.
	ContextEnd
)

// Type is the type of a pair's value.
type Type uint8

const (
	// Word is an unsigned integer in Pair.Word.
	Word Type = iota
	// String is text, not necessarily UTF-8, in Pair.Value.
	String
	// Blob is bytes in Pair.Value.
	Blob
)

// Flags mark what is missing from a pair. The flags of an event include those of its pairs.
type Flags uint8

const (
	// Cut marks a value that was truncated at the limit.
	Cut Flags = 1 << iota
	// Fault marks a value that was unreadable.
	Fault
	// KeyCut marks a key that was truncated at the limit.
	KeyCut
	// Lost marks an event with missing pairs: their keys were unreadable, or they were behind the sixteenth element of an
	// array.
	Lost
)

// Wire is the file number of events that package wire creates from packets.
const Wire = ^uint32(0)

// NoParent is the parent of a context without a parent.
const NoParent = ^uint64(0)

// Event is one probe hit, or one fact about a process. The slices of its pairs are valid until the handler of the
// event returns.
type Event struct {
	Time    uint64 // CLOCK_BOOTTIME, ns
	Context uint64
	Parent  uint64 // NewContext only
	PID     uint32 // process (thread group) id in the initial namespace
	TID     uint32 // thread id in the initial namespace
	File    uint32 // file number under which the site was added to the tracer
	Lost    uint64 // hits of the process that were lost before this one, since its ProcessStart
	Kind    Kind
	Flags   Flags
	Pairs   []Pair
	Process Process // ProcessStart only
}

// Pair is a key with its value.
type Pair struct {
	Key   []byte // at most 62 bytes
	Value []byte // String, Blob: at most 256 bytes
	Word  uint64 // Word: the value; Blob: its size in bytes before truncation
	Type  Type
	Flags Flags
}

// Process describes a process at its first probe hit.
type Process struct {
	StartTime  uint64 // CLOCK_BOOTTIME, ns
	CgroupID   uint64 // version 2 hierarchy
	ExeInode   uint64
	ExeDevice  uint32 // major << 20 | minor
	UID        uint32
	GID        uint32
	ParentPID  uint32
	Comm       string // the thread's name, at most 15 bytes
	Executable string // base name of the executable file
}

// Runs reports whether p and q describe the same process running the same executable.
func (p Process) Runs(q Process) bool {
	return p.StartTime == q.StartTime && p.ExeInode == q.ExeInode && p.ExeDevice == q.ExeDevice && p.Executable == q.Executable
}
