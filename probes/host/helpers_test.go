// SPDX-License-Identifier: Apache-2.0

package host

import (
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// silence blocks questions in the kernel until end is called, as a file system or a process that does not answer would.
type silence struct {
	t          *testing.T
	ends       [2]int // descriptors of a pipe: its read end and its write end
	unanswered bool
}

func newSilence(t *testing.T) *silence {
	s := &silence{t: t, unanswered: true}
	if err := unix.Pipe2(s.ends[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.end)
	return s
}

// wait blocks until end is called.
func (s *silence) wait() {
	for {
		if _, err := unix.Read(s.ends[0], make([]byte, 1)); err != unix.EINTR {
			return
		}
	}
}

func (s *silence) end() {
	if s.unanswered {
		s.unanswered = false
		if err := unix.Close(s.ends[1]); err != nil {
			s.t.Error(err)
		}
	}
}

// TestHelpersLeaveStuckQuestionBehind asks five questions, one of which is answered late. The other questions are
// answered in time.
func TestHelpersLeaveStuckQuestionBehind(t *testing.T) {
	t.Parallel()
	h := NewHelpers(HelpersConfig{Patience: 50 * time.Millisecond})
	defer h.Close()
	release := newSilence(t)
	var answered []int
	questions := make([]*Question, 5)
	for i := range questions {
		questions[i] = &Question{
			Subject: Subject{Device: uint64(i)},
			Ask: func() {
				if i == 2 {
					release.wait()
				}
			},
			Answered: func() { answered = append(answered, i) },
		}
	}
	if n := h.Ask(questions...); n != 4 || !slices.Equal(answered, []int{0, 1, 3, 4}) {
		t.Fatalf("%d questions answered: %v", n, answered)
	}
	if n := h.Ask(); n != 0 {
		t.Fatalf("%d questions of none answered", n)
	}
	if !h.Owes(Subject{Device: 2}) || h.Stuck() != 1 {
		t.Errorf("%d questions are stuck", h.Stuck())
	}
	release.end()
	<-h.Late()
	h.FinishLate()
	if len(answered) != 5 || answered[4] != 2 || h.Stuck() != 0 {
		t.Errorf("answered: %v, %d stuck", answered, h.Stuck())
	}
}

// TestHelpersWaitForProgress asks a question that takes longer than the patience but reports progress. It is not given
// up.
func TestHelpersWaitForProgress(t *testing.T) {
	t.Parallel()
	h := NewHelpers(HelpersConfig{Patience: 200 * time.Millisecond})
	defer h.Close()
	q := &Question{Subject: Subject{Process: 1}}
	q.Ask = func() {
		for range 60 {
			time.Sleep(10 * time.Millisecond)
			q.Step()
		}
	}
	if h.Ask(q) != 1 {
		t.Error("a question that made progress was given up")
	}
}

// A question whose thread is running, not blocked, gets longer than the patience before Ask gives up on it, because
// threads on a busy machine have to wait for a CPU. Ask still gives up on a question that never ends.
func TestHelpersWaitForThreadsThatRun(t *testing.T) {
	t.Parallel()
	const patience = 50 * time.Millisecond
	for _, urgent := range []bool{false, true} {
		h := NewHelpers(HelpersConfig{Patience: patience})
		defer h.Close()
		began := time.Now()
		if h.Ask(&Question{Subject: Subject{Process: 1}, Urgent: urgent, Ask: func() {
			for time.Since(began) < 4*patience {
			}
		}}) != 1 {
			t.Errorf("urgent %t: a question whose thread was busy was given up", urgent)
		}
		if h.Ask(&Question{Subject: Subject{Process: 2}, Urgent: urgent, Ask: func() {
			for !h.Owes(Subject{Process: 2}) {
			}
		}}) != 0 {
			t.Errorf("urgent %t: a question that takes for ever was waited for", urgent)
		}
	}
}

// ask asks questions that are not answered before release has ended, or that are answered immediately if release is
// nil.
func ask(h *Helpers, release *silence, answered *[]Subject, subjects ...Subject) {
	var questions []*Question
	for _, s := range subjects {
		questions = append(questions, &Question{
			Subject: s,
			Ask: func() {
				if release != nil {
					release.wait()
				}
			},
			Answered: func() { *answered = append(*answered, s) },
		})
	}
	h.Ask(questions...)
}

// TestFileSystemsThatDoNotAnswer asks about more and more file systems that do not answer. First only file systems that
// have answered before and disks may still be asked, then only disks.
func TestFileSystemsThatDoNotAnswer(t *testing.T) {
	t.Parallel()
	h := NewHelpers(HelpersConfig{Patience: 5 * time.Millisecond})
	defer h.Close()
	remote := func(i int) Subject { return Subject{Device: uint64(i)} } // major number 0, so not a disk
	disk := Subject{Device: 8 << 8}
	release := newSilence(t)
	var answered []Subject
	expect := func(want ...Subject) {
		t.Helper()
		if !slices.Equal(answered, want) {
			t.Errorf("answered: %v, want %v", answered, want)
		}
		answered = nil
	}
	ask(h, nil, &answered, remote(1), remote(2))
	expect(remote(1), remote(2))
	for i := range maxStuckDevices / 2 { // the second question about each is skipped
		ask(h, release, &answered, remote(100+i), remote(100+i))
	}
	expect()
	ask(h, nil, &answered, remote(100), remote(1), remote(50), disk)
	expect(remote(1), disk) // remote(1) has answered before
	for i := range maxStuckDevices / 2 {
		h.answered[remote(200+i)] = struct{}{}
		ask(h, release, &answered, remote(200+i))
	}
	ask(h, nil, &answered, remote(1), remote(50), disk)
	expect(disk)

	release.end()
	for n := 0; n < maxStuckDevices; n = len(answered) {
		<-h.Late()
		h.FinishLate()
	}
	if h.Stuck() != 0 {
		t.Errorf("%d helpers are still waiting", h.Stuck())
	}
	answered = nil
	ask(h, nil, &answered, remote(100), remote(50))
	expect(remote(100), remote(50))
}

// TestProcessesThatDoNotAnswer asks about processes of one owner, which do not answer. Questions about processes of
// other owners and about file systems are still answered.
func TestProcessesThatDoNotAnswer(t *testing.T) {
	t.Parallel()
	h := NewHelpers(HelpersConfig{Patience: 5 * time.Millisecond})
	defer h.Close()
	release := newSilence(t)
	var answered []Subject
	for i := range 2 * maxStuckOfOwner {
		ask(h, release, &answered, Subject{Process: Process(1 + i), Owner: "/a"})
	}
	if h.Stuck() != maxStuckOfOwner {
		t.Errorf("%d helpers are waiting for one owner", h.Stuck())
	}
	other, disk := Subject{Process: 100, Owner: "/b"}, Subject{Device: 1}
	ask(h, nil, &answered, other, Subject{Process: 1, Owner: "/a"}, disk)
	if !slices.Equal(answered, []Subject{other, disk}) {
		t.Errorf("answered: %v", answered)
	}
	skipped := false
	h.Ask(&Question{Subject: Subject{Process: 1, Owner: "/a"}, Skipped: func() { skipped = true }})
	if !skipped {
		t.Error("a process that owes an answer was asked again")
	}
	release.end()
	for len(answered) < 2+maxStuckOfOwner {
		<-h.Late()
		h.FinishLate()
	}
}

// TestUrgentQuestionsDoNotComeLast checks that only urgent questions are asked on threads of normal priority.
func TestUrgentQuestionsDoNotComeLast(t *testing.T) {
	t.Parallel()
	h := NewHelpers(HelpersConfig{})
	defer h.Close()
	own, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // first with new threads, then with threads that wait for work
		for _, urgent := range []bool{false, true} {
			priority := 0 // as the system call returns it: 20 minus the niceness
			h.Ask(&Question{Urgent: urgent, Ask: func() { priority, err = unix.Getpriority(unix.PRIO_PROCESS, 0) }})
			if isOwn := priority == own; err != nil || isOwn != urgent {
				t.Errorf("urgent %v: priority %d, the caller's is %d; %v", urgent, priority, own, err)
			}
		}
	}
}
