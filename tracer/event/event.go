// SPDX-License-Identifier: Apache-2.0

// Package event has the decoded event: what one record of the kernel's ring buffer says, as plain data.
package event

// Kind says what an event tells.
type Kind uint8

const (
	// NewContext opens Event.Context below Event.Parent, perhaps with pairs.
	NewContext Kind = iota
	// Data adds pairs to Event.Context.
	Data
	// SessionEnter says that the thread now works on the library session in Event.Context.
	SessionEnter
	// SessionLeave says that the library forgets the session in Event.Context.
	SessionLeave
	// ProcessStart says who a process is; it precedes the process's first other event.
	ProcessStart
	// ProcessExit says that the process's last thread exits.
	ProcessExit
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

// Flags mark what is missing from a pair; an event has the flags of all its pairs.
type Flags uint8

const (
	// Cut marks a value longer than the limit: its start is here.
	Cut Flags = 1 << iota
	// Fault marks a value that the kernel could not read from the process.
	Fault
	// KeyCut marks a key longer than the limit: its start is here.
	KeyCut
	// Lost marks an event of which pairs are missing: keys that could not be read, elements past the sixteenth.
	Lost
)

// NoParent is the parent of a context that has none.
const NoParent = ^uint64(0)

// Event is one probe hit, or one fact about a process. The slices of its pairs are valid only until the handler that
// was given the event returns.
type Event struct {
	Time    uint64 // CLOCK_BOOTTIME, ns
	Context uint64
	Parent  uint64 // NewContext only
	PID     uint32 // process (thread group) in the initial namespace
	TID     uint32 // thread in the initial namespace
	File    uint32 // number of the file that holds the probe, as registered with the tracer
	Lost    uint64 // hits of the process that were lost before this one, since it was announced
	Kind    Kind
	Flags   Flags
	Pairs   []Pair
	Process Process // ProcessStart only
}

// Pair is a key with its value.
type Pair struct {
	Key   []byte // at most 62 bytes
	Value []byte // String, Blob: at most 256 bytes
	Word  uint64 // Word: the value; Blob: its size in bytes before it was cut
	Type  Type
	Flags Flags
}

// Process is who a process was when it first fired a probe, as the kernel told.
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

// Runs reports whether q is a record of the same process with the same executable.
func (p Process) Runs(q Process) bool {
	return p.StartTime == q.StartTime && p.ExeInode == q.ExeInode && p.ExeDevice == q.ExeDevice && p.Executable == q.Executable
}
