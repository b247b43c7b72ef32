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
	maxAnswered     = 4096 // size limit of Helpers.answered

	maxStuckDevices   = 16 // unanswered questions about file systems; then only disks may be asked
	maxStuckProcesses = 64 // unanswered questions about processes; then no process may be asked
	maxStuckOfOwner   = 4  // unanswered questions about processes of one owner; then none of them may be asked

	looks   = 4  // how often run checks a thread during the patience
	maxBusy = 20 // patience for a thread that makes no progress but is not blocked, in multiples of the patience
)

// Subject is the process or, if Process is 0, the file system that a question is about, and that has to answer it.
type Subject struct {
	Process Process
	Owner   string // owner of the process
	Device  uint64 // device of the file system; numbers from 1<<63 on represent unknown devices
}

// isDisk reports whether the subject is a file system on a block device, which can be expected to answer eventually.
func (s Subject) isDisk() bool {
	return s.Process == 0 && s.Device>>63 == 0 && unix.Major(s.Device) != 0
}

// Question is an operation that may block forever.
type Question struct {
	Subject Subject

	// Ask performs the operation on a helper's thread. It must not access anything that other goroutines use, because it
	// may still run long after its deadline.
	Ask func()

	// Answered, if set, runs after Ask has returned: before the deadline, on the goroutine that called [Helpers.Ask];
	// after the deadline, on the goroutine that calls [Helpers.FinishLate].
	Answered func()

	// Skipped, if set, runs instead of Ask and Answered if too many answers are missing for the subject to be asked now.
	Skipped func()

	// Urgent questions are asked on threads of normal priority, because a program that was just executed or an event waits
	// for the answer.
	Urgent bool

	steps atomic.Uint32
}

// Step reports progress of the operation, which extends its deadline. It may only be called by Ask.
func (q *Question) Step() { q.steps.Add(1) }

// HelpersConfig configures Helpers. The zero value means defaults.
type HelpersConfig struct {
	Log      *slog.Logger  // by default, nothing is logged
	Patience time.Duration // deadline of a question without progress; 250 ms by default
}

// Helpers runs questions, on threads of low priority unless they are urgent. If a question is not answered in time, its
// thread is abandoned, and no further question about its subject runs until the answer arrives. The number of abandoned
// threads is limited, separately for processes and for file systems that are not disks. Helpers is safe for concurrent
// use.
//
// The deadline applies to time in which the thread is blocked by its question. A thread that is not blocked gets
// maxBusy times as long: on a busy machine, threads wait for a CPU, which does not mean that the subject hangs.
type Helpers struct {
	log      *slog.Logger
	patience time.Duration
	lateness chan struct{} // signals that late is not empty; capacity 1

	mu        sync.Mutex // guards the fields below
	closed    bool
	idle      threads              // threads of low priority that wait for work
	urgent    threads              // threads of normal priority that wait for work
	stuck     map[Subject]int      // number of unanswered questions past their deadlines, by subject
	byOwner   map[string]int       // sum of stuck over the processes of each owner
	devices   int                  // sum of stuck over file systems
	processes int                  // sum of stuck over processes
	answered  map[Subject]struct{} // file systems that have answered once, at most maxAnswered
	late      []*Question          // questions answered after their deadlines, until FinishLate
}

// NewHelpers returns Helpers, which the caller must close. Threads are started when they are needed.
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

// Ask asks the questions one after the other, and runs Answered for those that are answered in time. It returns the
// number of these. It skips questions about subjects that may not be asked now, such as those that still owe an answer.
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

// divide separates the questions whose subjects may be asked now from those whose subjects may not.
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

// mayAsk reports whether a subject may be asked now. A subject that owes an answer may not. When half of
// maxStuckDevices answers are missing, only disks and file systems that have answered before may be asked; when all are
// missing, only disks. A process may be asked if its owner owes fewer than maxStuckOfOwner answers; when half of
// maxStuckProcesses answers are missing, only if its owner owes none; when all are missing, not at all.
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

// noteAnswer adds the subject to answered if it is a file system.
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

// count adds change to the number of answers that a subject owes. h must be locked.
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

// run runs the questions on one thread, an urgent one if the first question is urgent. It returns the index of the
// first question that is not answered in time, or the number of questions if all are answered in time.
func (h *Helpers) run(questions []*Question) int {
	j := &job{helpers: h, questions: questions, done: make(chan struct{})}
	urgent := questions[0].Urgent
	jobs := h.thread(urgent)
	jobs <- j
	ticker := time.NewTicker(max(h.patience/looks, 1))
	defer ticker.Stop()
	// silent counts the consecutive checks without progress, blocked the consecutive checks in which the thread was also
	// blocked.
	before, silent, blocked := uint64(0), 0, 0
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

// finish records the answer to a question that was given up.
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
