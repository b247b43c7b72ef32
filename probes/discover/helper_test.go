// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"slices"
	"testing"
	"time"
)

// TestHelper leaves a task behind that does not come back in time.
func TestHelper(t *testing.T) {
	t.Parallel()
	h := newHelper()
	defer h.close()
	release := make(chan struct{})
	tasks := make([]*task, 5)
	for i := range tasks {
		tasks[i] = &task{device: uint64(i), run: func() {
			if i == 2 {
				<-release
			}
		}}
	}
	if done := h.do(tasks, 10*time.Millisecond); done != 2 {
		t.Fatalf("%d tasks came back", done)
	}
	if done := h.do(tasks[3:], 10*time.Second); done != 2 {
		t.Fatalf("%d tasks came back", done)
	}
	if done := h.do(nil, time.Second); done != 0 {
		t.Fatalf("%d tasks of none came back", done)
	}
	close(release)
	if late := <-h.late; late != tasks[2] {
		t.Errorf("task %d was late", late.device)
	}
}

// TestNoAnswer performs tasks on file systems that do not answer.
func TestNoAnswer(t *testing.T) {
	t.Parallel()
	w := discover(t, Config{Interval: 10 * time.Millisecond})
	w.patience = 5 * time.Millisecond
	disk, remote := uint64(8<<8), func(i int) uint64 { return uint64(i) } // major 8 and 0
	release := make(chan struct{})
	var came []uint64
	perform := func(hang bool, devices ...uint64) {
		var tasks []*task
		for _, device := range devices {
			tasks = append(tasks, &task{device: device, run: func() {
				if hang {
					<-release
				}
			}, then: func() { came = append(came, device) }})
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		w.perform(tasks)
	}
	expect := func(devices ...uint64) {
		t.Helper()
		if !slices.Equal(came, devices) {
			t.Errorf("came back: %v, want %v", came, devices)
		}
		came = nil
	}
	perform(false, remote(1), remote(2))
	expect(remote(1), remote(2))
	for i := range maxStuck / 2 { // each is asked once
		perform(true, remote(100+i), remote(100+i))
	}
	expect()
	perform(false, remote(100), remote(1), remote(50), disk)
	expect(remote(1), disk) // those that have answered before, and those that will
	for i := range maxStuck / 2 {
		w.good[remote(200+i)] = true
		perform(true, remote(200+i))
	}
	perform(false, remote(1), remote(50), disk)
	expect(disk)

	w.run(t)
	close(release)
	deadline := time.Now().Add(soon)
	for waiting := -1; waiting != 0; time.Sleep(time.Millisecond) {
		w.mu.Lock()
		waiting = w.waiting
		w.mu.Unlock()
		if time.Now().After(deadline) {
			t.Fatalf("%d helpers are still waiting", waiting)
		}
	}
	w.mu.Lock()
	slices.Sort(came)
	n := len(came)
	came = nil
	w.mu.Unlock()
	if n != maxStuck {
		t.Errorf("%d came back late", n)
	}
	perform(false, remote(100), remote(50))
	expect(remote(100), remote(50))
}

// TestShare lets a container use up its share of time.
func TestShare(t *testing.T) {
	t.Parallel()
	now := time.Now()
	c := &container{spent: burst - 1, since: now}
	if !c.affordable(now) {
		t.Error("less than the burst is too much")
	}
	c.spent = burst + time.Second
	for _, step := range []struct {
		after time.Duration
		want  bool
	}{{0, false}, {share*time.Second - 1, false}, {share, false}, {share, true}} {
		now = now.Add(step.after)
		if got := c.affordable(now); got != step.want {
			t.Errorf("after %v: %t, with %v spent", step.after, got, c.spent)
		}
	}
	if c.affordable(now.Add(time.Hour)); c.spent != 0 {
		t.Errorf("after an hour: %v spent", c.spent)
	}

	// Turns are taken by container, whatever the number of processes.
	w := discover(t, Config{})
	many, one := w.container("/many.service"), w.container("/one.service")
	for _, c := range []*container{many, many, many, one} {
		w.enqueue(&process{container: c, pid: 1 << 31, statm: -1})
	}
	var order []string
	for len(w.ready) > 0 {
		order = append(order, w.ready[0].name)
		w.ready[0].processes++ // not to be disposed of
		w.turn()
	}
	if want := []string{"/many.service", "/one.service", "/many.service", "/many.service"}; !slices.Equal(order, want) {
		t.Errorf("turns of %q, want %q", order, want)
	}
	// One that has had its share waits.
	many.spent = 2 * burst
	w.enqueue(&process{container: many, statm: -1})
	w.enqueue(&process{container: one, statm: -1})
	if len(w.ready) != 1 || w.ready[0] != one {
		t.Errorf("%d containers take turns", len(w.ready))
	}
}
