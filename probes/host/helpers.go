// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const (
	defaultPatience = 250 * time.Millisecond
	maxAnswered     = 4096 // devices that are remembered because they have answered

	maxStuckDevices   = 16 // simultaneous questions about file systems that may hang
	maxStuckProcesses = 64 // unanswered questions about processes
	maxStuckOfOwner   = 4  // of these, about processes of one owner

	looks   = 4  // how often a thread is checked within the patience
	maxBusy = 20 // multiples of the patience, for a question without progress whose thread is not blocked
)

// Subject is what a question is about, and what it needs an answer from: a process or, if Process is 0, a file system.
type Subject struct {
	Process Process
	Owner   string // owner of the process
	Device  uint64 // of the file system; numbers from 1<<63 on represent unknown devices
}

// isDisk reports whether the subject is a file system on a block device, which always answers eventually.
func (s Subject) isDisk() bool {
	return s.Process == 0 && s.Device>>63 == 0 && unix.Major(s.Device) != 0
}

// Question is an operation that may block forever.
type Question struct {
	Subject Subject

	// Ask performs the operation on a helper's thread. It must not touch anything that other goroutines use, because it
	// may return much later.
	Ask func()

	// Answered, if set, runs after Ask: on the goroutine that called [Helpers.Ask] or, if Ask returns after the deadline,
	// on the one that calls [Helpers.FinishLate].
	Answered func()

	// Skipped, if set, runs instead of Ask and Answered if the subject may not be asked at the moment.
	Skipped func()

	// Urgent questions are asked on threads of normal priority: a program that was just executed does not wait for
	// discovery, and events wait for the answer.
	Urgent bool

	steps atomic.Uint32
}

// Step is called by Ask to report progress, which extends the deadline.
func (q *Question) Step() { q.steps.Add(1) }

// HelpersConfig configures Helpers. The zero value means defaults.
type HelpersConfig struct {
	Log      *slog.Logger  // default: nothing is logged
	Patience time.Duration // deadline of one question; default 250 ms
}

// Helpers runs questions on threads of low priority, unless they are urgent. If a question is not answered in time, its
// thread is abandoned, and its subject is asked nothing more until the answer arrives. For each kind of subject, the
// number of abandoned threads is limited. Helpers is safe for concurrent use.
//
// The deadline counts only time in which the thread is blocked by its question, and a fraction of the rest, see
// maxBusy: on a busy machine threads wait for a CPU, which does not mean that the subject hangs.
type Helpers struct {
	log      *slog.Logger
	patience time.Duration
	lateness chan struct{} // signals that late is not empty; capacity 1

	mu        sync.Mutex // guards the fields below
	closed    bool
	idle      threads              // of low priority
	urgent    threads              // of normal priority
	stuck     map[Subject]int      // questions without an answer
	byOwner   map[string]int       // unanswered questions about processes, by owner
	devices   int                  // sum of stuck over file systems
	processes int                  // sum of stuck over processes
	answered  map[Subject]struct{} // file systems that have answered once
	late      []*Question          // answered after their deadlines
}

// NewHelpers returns Helpers, which must be closed. Threads are started when they are needed.
func NewHelpers(cfg HelpersConfig) *Helpers {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Patience <= 0 {
		cfg.Patience = defaultPatience
	}
	return &Helpers{
		log: cfg.Log, patience: cfg.Patience, lateness: make(chan struct{}, 1),
		stuck: make(map[Subject]int), byOwner: make(map[string]int), answered: make(map[Subject]struct{}),
	}
}

// Close ends the threads that wait for work. A thread that waits for an answer ends when the answer arrives.
func (h *Helpers) Close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	h.idle.close()
	h.urgent.close()
}

// Ask asks the questions one after the other and runs Answered for those that are answered in time. It returns their
// number. It skips subjects that still owe an answer.
func (h *Helpers) Ask(questions ...*Question) (answered int) {
	for {
		var skipped []*Question
		questions, skipped = h.divide(questions)
		for _, q := range skipped {
			if q.Skipped != nil {
				q.Skipped()
			}
		}
		if len(questions) == 0 {
			return answered
		}
		done := h.run(questions)
		for _, q := range questions[:done] {
			h.noteAnswer(q.Subject)
			if q.Answered != nil {
				q.Answered()
			}
		}
		answered += done
		if done == len(questions) {
			return answered
		}
		questions = questions[done+1:]
	}
}

// Late signals that answers have arrived after their deadlines, so that [Helpers.FinishLate] has to be called.
func (h *Helpers) Late() <-chan struct{} { return h.lateness }

// FinishLate runs Answered for the questions that were answered after their deadlines.
func (h *Helpers) FinishLate() {
	h.mu.Lock()
	late := h.late
	h.late = nil
	h.mu.Unlock()
	for _, q := range late {
		q.Answered()
	}
}

// Stuck returns how many questions are past their deadlines and still unanswered.
func (h *Helpers) Stuck() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.devices + h.processes
}

// Owes reports whether a subject still owes an answer.
func (h *Helpers) Owes(s Subject) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.stuck[s] > 0
}

// divide returns the questions whose subjects may be asked, and those whose subjects may not.
func (h *Helpers) divide(questions []*Question) (allowed, skipped []*Question) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i, q := range questions {
		switch {
		case !h.mayAsk(q.Subject):
			if skipped == nil {
				allowed = append(allowed, questions[:i]...)
			}
			skipped = append(skipped, q)
		case skipped != nil:
			allowed = append(allowed, q)
		}
	}
	if skipped == nil {
		return questions, nil
	}
	return allowed, skipped
}

// mayAsk reports whether a subject may be asked. A subject that owes an answer may not. The more answers are missing,
// the fewer subjects are allowed: of file systems, those that have answered before or are on a block device; of
// processes, those whose owner owes nothing.
func (h *Helpers) mayAsk(s Subject) bool {
	if h.stuck[s] > 0 {
		return false
	}
	if s.Process != 0 {
		owed := h.byOwner[s.Owner]
		return owed < maxStuckOfOwner && h.processes < maxStuckProcesses && (owed == 0 || h.processes < maxStuckProcesses/2)
	}
	switch _, trusted := h.answered[s]; {
	case h.devices >= maxStuckDevices:
		return s.isDisk()
	case h.devices >= maxStuckDevices/2:
		return trusted || s.isDisk()
	}
	return true
}

// noteAnswer records that a file system answers.
func (h *Helpers) noteAnswer(s Subject) {
	if s.Process != 0 {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.answered) < maxAnswered {
		h.answered[s] = struct{}{}
	}
}

// count adds to the number of answers that a subject owes.
func (h *Helpers) count(s Subject, change int) {
	if h.stuck[s] += change; h.stuck[s] == 0 {
		delete(h.stuck, s)
	}
	if s.Process == 0 {
		h.devices += change
		return
	}
	h.processes += change
	if h.byOwner[s.Owner] += change; h.byOwner[s.Owner] == 0 {
		delete(h.byOwner, s.Owner)
	}
}

// run runs the questions on one thread, an urgent one if the first question is urgent. It returns how many were
// answered. If not all were, the next one hangs.
func (h *Helpers) run(questions []*Question) int {
	j := &job{helpers: h, questions: questions, done: make(chan struct{})}
	urgent := questions[0].Urgent
	jobs := h.thread(urgent)
	jobs <- j
	ticker := time.NewTicker(max(h.patience/looks, 1))
	defer ticker.Stop()
	before, silent, blocked := uint64(0), 0, 0 // checks without progress; the last of these, blocked
	for {
		select {
		case <-j.done:
			h.release(jobs, urgent)
			return len(questions)
		case <-ticker.C:
		}
		if now := j.progress(); now != before {
			before, silent, blocked = now, 0, 0
			continue
		}
		silent++
		blocked++
		if !isBlocked(int(j.thread.Load())) {
			blocked = 0
		}
		if blocked < looks && silent < looks*maxBusy {
			continue
		}
		if stuck, ok := j.abandon(); ok {
			h.logStuck(questions[stuck].Subject)
			return stuck
		}
	}
}

func (h *Helpers) logStuck(s Subject) {
	h.mu.Lock()
	devices, processes := h.devices, h.processes
	h.mu.Unlock()
	if s.Process != 0 {
		h.log.Debug("process does not answer", "pid", s.Process, "waiting", processes)
		return
	}
	level := slog.LevelDebug // a busy disk may only be slow
	if devices >= maxStuckDevices/2 {
		level = slog.LevelWarn
	}
	h.log.Log(context.Background(), level, "file system does not answer", "device_major", unix.Major(s.Device),
		"device_minor", unix.Minor(s.Device), "waiting", devices)
}

// finish processes an answer that arrived late.
func (h *Helpers) finish(q *Question) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.count(q.Subject, -1)
	if q.Answered == nil {
		return
	}
	h.late = append(h.late, q)
	select {
	case h.lateness <- struct{}{}:
	default:
	}
}
