// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	patience = 250 * time.Millisecond // what a helper may take for one task
	maxStuck = 16                     // helpers left behind
)

// task is something that can block for ever.
type task struct {
	device uint64 // that it will touch first, as far as is known; 0 if it is not
	run    func() // in the helper
	then   func() // afterwards, in the Discoverer; perhaps much later
}

// helper runs tasks, one after the other, on a thread of low priority. Where
// one does not come back, the thread is left to it and another one started.
type helper struct {
	jobs chan *job  // nil while there is no thread
	late chan *task // what came back after all
}

func newHelper() *helper { return &helper{late: make(chan *task, maxStuck)} }

// do runs the tasks and returns how many have come back. If not all did, the
// next one is stuck; it will arrive in late. Only one call at a time.
func (h *helper) do(tasks []*task, patience time.Duration) int {
	if h.jobs == nil {
		h.jobs = make(chan *job)
		go work(h.jobs)
	}
	j := &job{tasks: tasks, late: h.late, done: make(chan struct{})}
	h.jobs <- j
	ticker := time.NewTicker(patience)
	defer ticker.Stop()
	for before := -1; ; {
		select {
		case <-j.done:
			return len(tasks)
		case <-ticker.C:
		}
		if now := j.progress(); now != before {
			before = now
		} else if stuck, ok := j.abandon(); ok {
			h.jobs = nil
			return stuck
		}
	}
}

// close ends the thread.
func (h *helper) close() {
	if h.jobs != nil {
		close(h.jobs)
		h.jobs = nil
	}
}

// job is one call of do.
type job struct {
	tasks []*task
	late  chan<- *task
	done  chan struct{}

	mu        sync.Mutex
	begun     int
	abandoned bool
}

// next returns the next task to run, nil if that is all.
func (j *job) next() *task {
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case j.abandoned:
		return nil
	case j.begun == len(j.tasks):
		close(j.done)
		return nil
	}
	j.begun++
	return j.tasks[j.begun-1]
}

func (j *job) progress() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.begun
}

// abandon returns which task is stuck, unless all have come back by now.
func (j *job) abandon() (int, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	select {
	case <-j.done:
		return 0, false
	default:
	}
	j.abandoned = true
	return j.begun - 1, true
}

// work is the thread. It ends with jobs, or with the job that was abandoned.
func work(jobs <-chan *job) {
	// Never unlocked: the thread ends with the goroutine, and its priority too.
	runtime.LockOSThread()
	_ = unix.Setpriority(unix.PRIO_PROCESS, 0, 10) // of the thread
	lowerIOPriority()
	for j := range jobs {
		for t := j.next(); t != nil; t = j.next() {
			t.run()
		}
		if j.abandoned { // not changed any more
			j.late <- j.tasks[j.begun-1]
			return
		}
	}
}

// lowerIOPriority makes the thread's reads come last among those that are not
// idle: an idle one might never get its turn.
func lowerIOPriority() {
	const (
		whoProcess = 1           // IOPRIO_WHO_PROCESS: a thread
		lowest     = 2<<13 | 0x7 // IOPRIO_PRIO_VALUE(IOPRIO_CLASS_BE, 7)
	)
	_, _, _ = unix.Syscall(unix.SYS_IOPRIO_SET, whoProcess, 0, lowest)
}
