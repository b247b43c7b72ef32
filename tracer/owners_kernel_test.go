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

// forksSource starts a number of children, one after the other, each of which fires a number of probes.
const forksSource = `
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include "crau.h"
int main(int argc, char **argv)
{
	long children = atol(argv[1]), hits = atol(argv[2]);
	(void)argc;
	for (long i = 0; i < children; i++) {
		if (!fork()) {
			for (long k = 0; k < hits; k++)
				CRAU_NEW_CONTEXT(k, -1);
			_exit(0);
		}
		wait(NULL);
	}
	return 0;
}
`

func buildForks(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{dir, filepath.Dir(dir)} { // for other users
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(dir, "forks")
	if err := os.WriteFile(path+".c", []byte(forksSource), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("cc", "-O2", "-I../examples/include", "-o", path, path+".c").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

// runAs runs the program as a user.
func runAs(t *testing.T, uid uint32, path string, children, hits int) {
	t.Helper()
	cmd := exec.Command(path, strconv.Itoa(children), strconv.Itoa(hits))
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid, NoSetGroups: true}}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, out)
	}
}

// eventsOf counts the contexts by user once the ring has been read, and the process records.
func eventsOf(t *testing.T, tr *tracer.Tracer) (contexts, processes map[uint32]int) {
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
		}
	}
	return contexts, processes
}

// A user whose processes each fire a few probes and end has the share of the ring that one process has.
func TestForksShareTheirUsersBudget(t *testing.T) {
	const attacker, subordinate, victim = 4711, 165536, 4712
	path := buildForks(t)
	for name, uids := range map[string][]uint32{
		"one user":          {attacker},
		"subordinate users": {subordinate, subordinate + 1, subordinate + 2, subordinate + 3},
	} {
		t.Run(name, func(t *testing.T) {
			tr := newTracer(t, tracer.Config{RingSize: 4 << 20})
			attachment, _ := harness.File(t, tr, path)
			begin := time.Now()
			for _, uid := range uids {
				runAs(t, uid, path, 400/len(uids), 250)
			}
			used, capacity := tr.RingFill()
			// A half, and in each moment of 17 ms what one process may have in the other half.
			moments := int(time.Since(begin)/(16*time.Millisecond)) + 1
			if most := capacity/2 + moments*20<<10; used < capacity/2 || used > min(most, capacity) {
				t.Errorf("the attacker uses %d of %d bytes after %d moments, the most is %d", used, capacity, moments, most)
			} else if most > capacity-64<<10 {
				t.Skipf("the machine is too busy: the attack took %v", time.Since(begin))
			}
			runAs(t, victim, path, 2, 100) // within the share of one owner
			if err := attachment.Close(); err != nil {
				t.Fatal(err)
			}
			st := stats(t, tr)
			if st.RingFull != 0 || st.ProcessLost != 0 || st.RateLimited == 0 || st.Hits != 400*250+200 || st.Sent+st.RateLimited != st.Hits {
				t.Errorf("counters are %+v", st)
			}
			contexts, processes := eventsOf(t, tr)
			if contexts[victim] != 200 || processes[victim] != 2 {
				t.Errorf("of the victim there are %d contexts of %d processes, want 200 of 2", contexts[victim], processes[victim])
			}
		})
	}
}

// The limit of hits a second is the owner's, too.
func TestForksShareTheirUsersRate(t *testing.T) {
	path := buildForks(t)
	tr := newTracer(t, tracer.Config{ProcessRate: 1000})
	attachment, _ := harness.File(t, tr, path)
	runAs(t, 4711, path, 100, 250)
	runAs(t, 4712, path, 1, 250)
	if err := attachment.Close(); err != nil {
		t.Fatal(err)
	}
	contexts, _ := eventsOf(t, tr)
	if contexts[4711] < 900 || contexts[4711] > 3000 {
		t.Errorf("%d contexts of 100 processes of one user were recorded", contexts[4711])
	}
	if contexts[4712] != 250 {
		t.Errorf("%d contexts of another user were recorded, want 250", contexts[4712])
	}
}

// A process is announced once, however many others there are.
func TestProcessTableHasRoomForProcessesInUse(t *testing.T) {
	const limit = 64
	sample := harness.Sample(t, "..")
	tr := newTracer(t, tracer.Config{MaxProcesses: limit, RingSize: 64 << 20})
	attachment, _ := harness.File(t, tr, sample)
	cmds := make([]*exec.Cmd, 150)
	for i := range cmds {
		cmds[i] = exec.Command(sample, "--count", "40", "--rate", "100")
		if err := cmds[i].Start(); err != nil {
			t.Fatal(err)
		}
	}
	for _, cmd := range cmds {
		if err := cmd.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	if err := attachment.Close(); err != nil {
		t.Fatal(err)
	}
	_, processes := eventsOf(t, tr)
	if total := processes[0]; total != len(cmds) {
		t.Errorf("%d process records of %d processes", total, len(cmds))
	}
}
