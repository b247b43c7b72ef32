// SPDX-License-Identifier: Apache-2.0

package host

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// threads holds a channel for each thread that waits for work.
type threads []chan *job

func (t *threads) close() {
	for _, jobs := range *t {
		close(jobs)
	}
	*t = nil
}

// threads returns the threads with normal (urgent) or low priority that wait for work. h must be locked.
func (h *Helpers) threads(urgent bool) *threads {
	if urgent {
		return &h.urgent
	}
	return &h.idle
}

// thread returns the channel of a thread that waits for work. It starts a thread if none waits.
func (h *Helpers) thread(urgent bool) chan *job {
	h.mu.Lock()
	defer h.mu.Unlock()
	idle := h.threads(urgent)
	if last := len(*idle) - 1; last >= 0 {
		jobs := (*idle)[last]
		*idle = (*idle)[:last]
		return jobs
	}
	jobs := make(chan *job)
	go work(jobs, urgent)
	return jobs
}

// release makes a thread available again after a job.
func (h *Helpers) release(jobs chan *job, urgent bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		close(jobs)
		return
	}
	idle := h.threads(urgent)
	*idle = append(*idle, jobs)
}

// job is a list of questions that one thread asks.
type job struct {
	helpers   *Helpers
	questions []*Question
	done      chan struct{} // closed when all questions have been answered
	thread    atomic.Int32  // number of the thread that asks the questions; 0 until it has begun

	mu        sync.Mutex // guards the fields below; locked before Helpers.mu
	begun     int        // number of questions that the thread has begun to ask
	abandoned bool       // the last question begun was given up
}

// next returns the next question to ask. It returns nil if the job is abandoned or all questions have been answered.
func (j *job) next() *Question {
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case j.abandoned:
		return nil
	case j.begun == len(j.questions):
		close(j.done)
		return nil
	}
	j.begun++
	return j.questions[j.begun-1]
}

// progress returns a number that changes whenever a question is answered or reports progress.
func (j *job) progress() uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.begun == 0 {
		return 0
	}
	return uint64(j.begun)<<32 | uint64(j.questions[j.begun-1].steps.Load())
}

// abandon gives up the question that is being asked and returns its index. It fails if all questions have been answered
// in the meantime, or if the thread has not begun.
func (j *job) abandon() (int, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	select {
	case <-j.done:
		return 0, false
	default:
	}
	if j.begun == 0 {
		return 0, false // the thread has not run yet
	}
	j.abandoned = true
	j.helpers.mu.Lock()
	j.helpers.count(j.questions[j.begun-1].Subject, 1)
	j.helpers.mu.Unlock()
	return j.begun - 1, true
}

// work runs jobs on a thread. It returns when jobs is closed, or after a job that was abandoned.
func work(jobs <-chan *job, urgent bool) {
	// The goroutine never unlocks its thread, so Go ends the thread, with its priority, when the goroutine ends.
	runtime.LockOSThread()
	if !urgent {
		_ = unix.Setpriority(unix.PRIO_PROCESS, 0, 10) // applies to the calling thread only
		lowerIOPriority()
	}
	thread := int32(unix.Gettid())
	for j := range jobs {
		j.thread.Store(thread)
		for q := j.next(); q != nil; q = j.next() {
			q.Ask()
		}
		if j.abandoned { // needs no lock, because it does not change after the last question
			j.helpers.finish(j.questions[j.begun-1])
			return
		}
	}
}

// lowerIOPriority gives the thread the lowest I/O priority that is not idle. Reads of idle priority might never be
// served.
func lowerIOPriority() {
	const (
		whoProcess = 1           // IOPRIO_WHO_PROCESS; despite its name, it selects a single thread
		lowest     = 2<<13 | 0x7 // IOPRIO_PRIO_VALUE(IOPRIO_CLASS_BE, 7)
	)
	_, _, _ = unix.Syscall(unix.SYS_IOPRIO_SET, whoProcess, 0, lowest)
}

// isBlocked reports whether a thread of this process waits in the kernel for anything other than a CPU. futex(2) does
// not count: the Go runtime suspends threads in it until they get a processor. If the kernel does not show where the
// thread waits, the thread counts as blocked.
func isBlocked(thread int) bool {
	where, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/syscall", thread))
	if err != nil {
		return true
	}
	text := string(where)
	return !strings.HasPrefix(text, "running") && !strings.HasPrefix(text, fmt.Sprint(unix.SYS_FUTEX, " "))
}
