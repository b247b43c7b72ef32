// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/crau-otel/crau-otel/test/needs"

	"github.com/crau-otel/crau-otel/probes/host"
)

// TestStormOfNotificationsIsBounded checks that files are found even if Notify is called far more often than processes
// can be examined, and also for processes that do not exist.
func TestStormOfNotificationsIsBounded(t *testing.T) {
	t.Parallel()
	needs.Root(t)
	dir := t.TempDir()
	w := discover(t, Config{Rules: Rules{Enabled: true}, Interval: time.Hour}, dir)
	w.scan(t)
	w.run(t)
	program := mapper(t)
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := uint32(0); ; i++ {
			select {
			case <-stop:
				return
			default:
				w.Notify(Executed{Process: host.Process(program.pid())})
				w.Notify(Executed{Process: host.Process(1<<20 + i%(2*maxNotified))})
			}
		}
	}()
	defer func() { close(stop); <-done }()
	var log []string
	for i := range 5 {
		path := sample(t, "sample", dir, fmt.Sprintf("%d.so", i))
		program.mapAll(t, path)
		log = append(log, "+"+path)
		w.await(t, soon, log...)
	}
}

// TestProgramsThatEndWhileTheyAreExamined checks that programs that end while they are examined cause no errors and no
// wrong reports.
func TestProgramsThatEndWhileTheyAreExamined(t *testing.T) {
	t.Parallel()
	needs.Root(t)
	dir := t.TempDir()
	w := discover(t, Config{Rules: Rules{Enabled: true}, Interval: 5 * time.Millisecond}, dir)
	w.scan(t)
	w.run(t)
	path := sample(t, "sample-static", dir, "program")
	end := time.Now().Add(2 * time.Second)
	for runs := 0; time.Now().Before(end); runs++ {
		cmd := exec.Command(path, "--help")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		w.Notify(Executed{Process: host.Process(cmd.Process.Pid)})
		if err := cmd.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	if log := w.history(); len(log) > 1 || len(log) == 1 && log[0] != "+"+path {
		t.Errorf("reported %q", log)
	}
}

// TestInodeThatIsUsedAgainIsExaminedAgain checks that a new file is found even if it gets the inode number of a file
// that was just removed. This happens when a compiler replaces its output.
func TestInodeThatIsUsedAgainIsExaminedAgain(t *testing.T) {
	t.Parallel()
	needs.Root(t)
	dir := t.TempDir()
	w := discover(t, Config{Rules: Rules{Enabled: true}}, dir)
	plain := write(t, filepath.Join(dir, "plain.so"), make([]byte, 8192))
	first := mapper(t, plain)
	w.scan(t)
	before := inodeOf(t, plain)
	first.stop()
	if err := os.Remove(plain); err != nil {
		t.Fatal(err)
	}
	path := sample(t, "sample", dir, "plain.so")
	mapper(t, path)
	w.scan(t)
	w.expect(t, "+"+path)
	t.Logf("inode %d, then %d", before, inodeOf(t, path))
}

// TestCallsInTheWrongOrder checks that calls of a Discoverer in a wrong order do no harm.
func TestCallsInTheWrongOrder(t *testing.T) {
	t.Parallel()
	d, err := New(Config{Root: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := d.Run(ctx); err != nil {
		t.Errorf("run: %v", err)
	}
	if err := d.Scan(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("scan: %v", err)
	}
	for range 2 {
		if err := d.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}
	d.Notify(Executed{Process: 1})
	if err := errors.Join(d.Scan(t.Context()), d.Run(t.Context())); !errors.Is(err, errClosed) {
		t.Errorf("after closing: %v", err)
	}
	if list := d.Inventory(); len(list) != 0 {
		t.Errorf("got %+v", list)
	}
	if _, err := New(Config{Root: "/does/not/exist"}); err == nil {
		t.Error("a root that does not exist was taken")
	}
}
