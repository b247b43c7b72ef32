// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"bytes"
	"fmt"
	"log/slog"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/crau-otel/crau-otel/test/needs"
)

// locker maps the files in its two arguments. Then it keeps its own memory map locked: a thread takes a page fault in
// the second file, whose file system fails the first reads and does not answer the later ones, see fuse.stuckReads.
// Another thread waits to map memory.
const locker = `
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>
static void *map(const char *path) { return mmap(0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, open(path, O_RDONLY), 0); }
static void *fault(void *page) { return (void *)(long)*(volatile char *)page; }
static void *change(void *unused) { usleep(200000); mmap(0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); return unused; }
int main(int argc, char **argv)
{
	pthread_t one, two;
	map(argv[1]);
	void *page = map(argv[2]);
	write(1, "ready\n", 6);
	pthread_create(&two, 0, change, 0);
	pthread_create(&one, 0, fault, page);
	for (;;)
		pause();
}`

// logged is a log that several goroutines write to.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// logger returns a logger with the default level, and its output.
func logger() (*slog.Logger, *logged) {
	l := &logged{}
	return slog.New(slog.NewTextHandler(l, nil)), l
}

// TestProcessThatDoesNotAnswer checks that a process that keeps its memory map locked is logged once, that all other
// processes are examined, and that its own files are found as soon as it unlocks the map.
func TestProcessThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	needs.Root(t)
	dir := t.TempDir()
	served, hanging := mountFuse(t, make([]byte, 65536))
	served.mu.Lock()
	served.stuckReads = true
	served.mu.Unlock()
	program := compile(t, t.TempDir(), "locker", locker)
	own := sample(t, "sample", dir, "own.so")
	stuck := start(t, exec.Command(program, own, hanging))
	t.Cleanup(served.answer) // must run before the test waits for the process
	for waiting := 0; waiting == 0; time.Sleep(10 * time.Millisecond) {
		served.mu.Lock()
		waiting = len(served.waiting)
		served.mu.Unlock()
	}
	time.Sleep(500 * time.Millisecond) // until the other thread waits too
	good := sample(t, "sample", dir, "good.so")
	mapper(t, good)

	log, text := logger()
	w := discover(t, Config{Rules: Rules{Enabled: true}, Log: log, Interval: 50 * time.Millisecond}, dir)
	begin := time.Now()
	w.scan(t)
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("a scan took %v", took)
	}
	w.expect(t, "+"+good)
	w.run(t)
	late := sample(t, "sample", dir, "late.so")
	mapper(t, late)
	w.await(t, soon, "+"+good, "+"+late)
	time.Sleep(time.Second) // enough for many passes
	name := fmt.Sprintf("pid=%d ", stuck.pid())
	if got := text.String(); strings.Count(got, name) != 1 || !strings.Contains(got, filepath.Base(program)) {
		t.Errorf("logged %s", got)
	}
	served.answer()
	w.await(t, soon, "+"+good, "+"+late, "+"+own)
}
