// SPDX-License-Identifier: Apache-2.0

package eventtest

import "github.com/crau-otel/crau-otel/tracer/event"

// Units of boot time, in ns.
const (
	Microsecond = uint64(1000)
	Millisecond = 1000 * Microsecond
	Second      = 1000 * Millisecond
)

// Source passes events that are a microsecond apart to Handle.
type Source struct {
	Now      uint64 // boot time of the newest event, ns
	PID, TID uint32
	File     uint32
	Hits     int // number of events so far that are probe hits
	Handle   func(*event.Event)
}

// NewSource returns a source for a process named prog, and emits the process's ProcessStart event.
func NewSource(handle func(*event.Event)) *Source {
	src := &Source{Now: Second, PID: 10, TID: 11, Handle: handle}
	handle(&event.Event{
		Kind: event.ProcessStart, PID: src.PID, TID: src.TID,
		Process: event.Process{Executable: "prog", Comm: "prog", StartTime: 1},
	})
	return src
}

// Word returns a pair with a number.
func Word(key string, value uint64) event.Pair {
	return event.Pair{Key: []byte(key), Type: event.Word, Word: value}
}

// String returns a pair with a string.
func String(key, value string) event.Pair {
	return event.Pair{Key: []byte(key), Type: event.String, Value: []byte(value)}
}

// Name returns the pair that names a context.
func Name(value string) event.Pair { return String("name", value) }

// Event emits an event. It sets the time, process, thread and file from s.
func (s *Source) Event(ev event.Event) {
	s.Now += Microsecond
	ev.Time, ev.PID, ev.TID, ev.File = s.Now, s.PID, s.TID, s.File
	if ev.Kind != event.ProcessStart && ev.Kind != event.ProcessExit {
		s.Hits++
	}
	s.Handle(&ev)
}

// Open emits the event of new_context, or of new_context_with_data if there are pairs.
func (s *Source) Open(ctx, parent uint64, pairs ...event.Pair) {
	s.Event(event.Event{Kind: event.NewContext, Context: ctx, Parent: parent, Pairs: pairs})
}

// Data emits one data event with all pairs.
func (s *Source) Data(ctx uint64, pairs ...event.Pair) {
	s.Event(event.Event{Kind: event.Data, Context: ctx, Pairs: pairs})
}

// Begin opens a context as GnuTLS does: new_context, then data.
func (s *Source) Begin(ctx, parent uint64, pairs ...event.Pair) {
	s.Open(ctx, parent)
	s.Data(ctx, pairs...)
}

// Enter reports that the library was called for a session.
func (s *Source) Enter(session uint64) {
	s.Event(event.Event{Kind: event.SessionEnter, Context: session})
}

// Leave reports that the program closed a session.
func (s *Source) Leave(session uint64) {
	s.Event(event.Event{Kind: event.SessionLeave, Context: session})
}
