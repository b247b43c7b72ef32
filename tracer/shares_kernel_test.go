// SPDX-License-Identifier: Apache-2.0

package tracer_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/crau-otel/crau-otel/test/harness"
	"github.com/crau-otel/crau-otel/tracer"
	"github.com/crau-otel/crau-otel/tracer/event"
)

// forksSource is a program that starts a number of children, one after the other, each of which hits a number of
// probes. With 0 children, the program hits that number of probes itself for each byte of its standard input.
const forksSource = `
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include "crau.h"
static void fire(long hits)
{
	for (long k = 0; k < hits; k++)
		CRAU_NEW_CONTEXT(k, -1);
}
int main(int argc, char **argv)
{
	long children = atol(argv[1]), hits = atol(argv[2]);
	(void)argc;
	for (long i = 0; i < children; i++) {
		if (!fork()) {
			fire(hits);
			_exit(0);
		}
		wait(NULL);
	}
	if (!children)
		while (getchar() != EOF) {
			fire(hits);
			putchar('\n');
			fflush(stdout);
		}
	return 0;
}
`

func buildForks(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{dir, filepath.Dir(dir)} { // other users must be able to read it
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(dir, "forks")
	if err := os.WriteFile(path+".c", []byte(forksSource), 0o600); err != nil {
		t.Fatal(err)
	}
	return harness.Compile(t, "..", path, path+".c")
}

func forks(uid uint32, path string, children, hits int) *exec.Cmd {
	cmd := exec.Command(path, strconv.Itoa(children), strconv.Itoa(hits))
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid, NoSetGroups: true}}
	return cmd
}

// runForks runs the program of forksSource as the user uid.
func runForks(t *testing.T, uid uint32, path string, children, hits int) {
	t.Helper()
	cmd := forks(uid, path, children, hits)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, out)
	}
}

// quiet is a process that only hits a few probes, whenever fire is called.
type quiet struct {
	pid  uint32
	fire func()
}

func startQuiet(t *testing.T, uid uint32, path string, hits int) quiet {
	t.Helper()
	cmd := forks(uid, path, 0, hits)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	harness.StartProgram(t, cmd)
	return quiet{uint32(cmd.Process.Pid), func() {
		t.Helper()
		if _, err := in.Write([]byte("\n")); err != nil {
			t.Fatal(err)
		}
		if _, err := out.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
	}}
}

// read reads the ring and counts the contexts and the process records by user, and the contexts of one process.
func read(t *testing.T, tr *tracer.Tracer, pid uint32) (contexts, processes map[uint32]int, ofPID int) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	got := newRecorder()
	if err := tr.Run(ctx, got); err != nil {
		t.Fatal(err)
	}
	contexts, processes = make(map[uint32]int), make(map[uint32]int)
	users := make(map[uint32]uint32)
	for _, ev := range got.events {
		switch ev.Kind {
		case event.ProcessStart:
			users[ev.PID] = ev.Process.UID
			processes[ev.Process.UID]++
		case event.NewContext:
			contexts[users[ev.PID]]++
			if ev.PID == pid {
				ofPID++
			}
		}
	}
	return contexts, processes, ofPID
}

// lossesOf returns what an owner has lost.
func lossesOf(t *testing.T, tr *tracer.Tracer, owner tracer.Owner) tracer.OwnerLosses {
	t.Helper()
	all, err := tr.OwnerLosses()
	if err != nil {
		t.Fatal(err)
	}
	for _, losses := range all {
		if losses.Owner == owner {
			return losses
		}
	}
	t.Fatalf("nothing is known about owner %+v: %+v", owner, all)
	return tracer.OwnerLosses{}
}

// A user with very many processes that each hit a few probes and end gets no more than the user's share of the ring.
// There is room for other users, and a quiet, long-lived process of the same user loses nothing either.
func TestForkFloodCostsItsOwnerOnly(t *testing.T) {
	const attacker, subordinate, victim = 4711, 165536, 4712
	path := buildForks(t)
	for name, c := range map[string]struct {
		uids []uint32
		hits []int
	}{
		"one user":          {[]uint32{attacker}, []int{1, 30, 250}},
		"subordinate users": {[]uint32{subordinate, subordinate + 1, subordinate + 2, subordinate + 3}, []int{250}},
	} {
		uids := c.uids
		for _, hits := range c.hits {
			t.Run(name+" "+strconv.Itoa(hits)+" hits", func(t *testing.T) {
				tr := newTracer(t, tracer.Config{RingSize: 256 << 10})
				attachment, _ := harness.File(t, tr, path)
				own := startQuiet(t, uids[0], path, 10)
				own.fire()
				time.Sleep(1100 * time.Millisecond) // the process no longer counts as young
				const children = 1000
				for _, uid := range uids {
					runForks(t, uid, path, children/len(uids), hits)
				}
				own.fire()
				used, capacity := tr.RingFill()
				if used < capacity/2 || used > capacity*3/4 {
					t.Errorf("the attacker uses %d of %d bytes", used, capacity)
				}
				for range 2 {
					runForks(t, victim, path, 1, 100)
				}
				if err := attachment.Close(); err != nil {
					t.Fatal(err)
				}
				st := stats(t, tr)
				if st.RingFull != 0 || st.ProcessLost != 0 || st.OwnerLimited == 0 {
					t.Errorf("counters are %+v", st)
				}
				if want := uint64(children*hits + 200 + 20); st.Hits != want || st.Sent+st.RateLimited+st.OwnerLimited != want {
					t.Errorf("%d hits expected: %+v", want, st)
				}
				owner := tracer.Owner{UID: uids[0]}
				if uids[0] == subordinate {
					owner.UID = 100000 + 65536 // the second block of subordinate users
				}
				if of := lossesOf(t, tr, owner); of != (tracer.OwnerLosses{
					Owner: owner, RateLimited: st.RateLimited, OwnerLimited: st.OwnerLimited,
				}) {
					t.Errorf("the attacker lost %+v, in all %+v", of, st)
				}
				if of := lossesOf(t, tr, tracer.Owner{UID: victim}); of != (tracer.OwnerLosses{Owner: of.Owner}) {
					t.Errorf("the victim lost %+v", of)
				}
				contexts, processes, ofOwn := read(t, tr, own.pid)
				if contexts[victim] != 200 || processes[victim] != 2 {
					t.Errorf("%d contexts of %d processes of the victim, want 200 of 2", contexts[victim], processes[victim])
				}
				if ofOwn != 20 {
					t.Errorf("%d contexts of the attacker's quiet process, want 20", ofOwn)
				}
			})
		}
	}
}

// Processes that flood the ring leave room for other processes of their owner, even for young ones.
func TestFloodLeavesRoomToItsOwnersProcesses(t *testing.T) {
	const user = 4711
	path := buildForks(t)
	tr := newTracer(t, tracer.Config{RingSize: 256 << 10})
	attachment, _ := harness.File(t, tr, path)
	for range 2 {
		runForks(t, user, path, 1, 10000)
	}
	before := stats(t, tr)
	if before.RateLimited == 0 || before.OwnerLimited != 0 {
		t.Errorf("counters are %+v", before)
	}
	runForks(t, user, path, 1, 50)
	if err := attachment.Close(); err != nil {
		t.Fatal(err)
	}
	if st := stats(t, tr); st.Sent != before.Sent+50 {
		t.Errorf("%d of 50 hits beside two floods were sent", st.Sent-before.Sent)
	}
}

// A single process may fill three fifths of the part of the ring that is not reserved for root.
func TestAProcessAloneMayFillMostOfTheRing(t *testing.T) {
	const user = 4711
	path := buildForks(t)
	tr := newTracer(t, tracer.Config{RingSize: 256 << 10})
	attachment, _ := harness.File(t, tr, path)
	runForks(t, user, path, 1, 10000)
	if err := attachment.Close(); err != nil {
		t.Fatal(err)
	}
	used, capacity := tr.RingFill()
	if most := capacity * 7 / 8 * 3 / 5; used > most+4<<10 || used < most-8<<10 {
		t.Errorf("it uses %d of %d bytes, want about %d", used, capacity, most)
	}
}

// stopper is a handler that blocks the reader after a number of contexts, until release is closed.
type stopper struct {
	left             int
	stopped, release chan struct{}
}

func (s *stopper) Handle(ev *event.Event) {
	if ev.Kind != event.NewContext {
		return
	}
	if s.left--; s.left == 0 {
		close(s.stopped)
		<-s.release
	}
}

func (s *stopper) Tick(uint64) {}

// Records that were read do not count against the share of their process, even if the reader has never emptied the
// ring.
func TestSharesCountOnlyWhatIsUnread(t *testing.T) {
	const user, hits = 4711, 2100 // 56 bytes each, in the 224 KiB that are not reserved for root
	path := buildForks(t)
	tr := newTracer(t, tracer.Config{RingSize: 256 << 10})
	attachment, _ := harness.File(t, tr, path)
	flood := startQuiet(t, user, path, hits)
	flood.fire()
	s := &stopper{left: hits - 200, stopped: make(chan struct{}), release: make(chan struct{})}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := start(ctx, tr, s)
	select {
	case <-s.stopped:
	case <-time.After(20 * time.Second):
		t.Fatal("nothing was read")
	}
	flood.fire()
	close(s.release)
	if err := attachment.Close(); err != nil {
		t.Fatal(err)
	}
	cancel()
	ended(t, done)
	if st := stats(t, tr); st.Sent != 2*hits {
		t.Errorf("%d of %d hits were sent: %+v", st.Sent, 2*hits, st)
	}
}

// Records that were read no longer count against the share of their owner.
func TestSharesAreFreeAgainOnceRead(t *testing.T) {
	const user = 4711
	path := buildForks(t)
	tr := newTracer(t, tracer.Config{RingSize: 256 << 10})
	attachment, _ := harness.File(t, tr, path)
	runForks(t, user, path, 1000, 250)
	if st := stats(t, tr); st.OwnerLimited == 0 {
		t.Errorf("the owner is not limited: %+v", st)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := start(ctx, tr, newRecorder())
	for used, _ := tr.RingFill(); used > 0; used, _ = tr.RingFill() {
		time.Sleep(time.Millisecond)
	}
	before := stats(t, tr)
	runForks(t, user, path, 2, 250)
	if err := attachment.Close(); err != nil {
		t.Fatal(err)
	}
	cancel()
	ended(t, done)
	if st := stats(t, tr); st.Sent != before.Sent+500 {
		t.Errorf("%d of 500 hits were sent", st.Sent-before.Sent)
	}
}
