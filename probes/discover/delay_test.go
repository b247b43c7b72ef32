// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/crau-otel/crau-otel/test/needs"

	"golang.org/x/sys/unix"

	"github.com/crau-otel/crau-otel/probes/host"
)

// dlopener is a program that loads the libraries whose paths it reads.
const dlopener = `
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
int main(void)
{
	char line[4096];
	puts("ready");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = 0;
		puts(dlopen(line, RTLD_NOW) ? "<nil>" : dlerror());
		fflush(stdout);
	}
}`

// library is a shared library with probes.
const library = `
#include "crau.h"
void fire(void) { CRAU_NEW_CONTEXT(1, -1); }
`

// TestLibraryLoadedLaterIsFound checks that Run finds a library that a running process loads, and a program that is
// started, both by polling and after a notification.
func TestLibraryLoadedLaterIsFound(t *testing.T) {
	t.Parallel()
	needs.Root(t)
	tools := t.TempDir()
	program := compile(t, tools, "dlopener", dlopener)
	shared := compile(t, tools, "lib.so", library, "-shared", "-fPIC")
	data, err := os.ReadFile(shared)
	if err != nil {
		t.Fatal(err)
	}
	for name, interval := range map[string]time.Duration{"polled": 0, "notified": time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			idle := start(t, exec.Command(program))
			w := discover(t, Config{Rules: Rules{Enabled: true}, Interval: interval}, dir)
			w.scan(t)
			w.run(t)
			tell := func(pid uint32) {
				if interval > 0 {
					w.Notify(Executed{Process: host.Process(pid)})
				}
			}
			var log []string
			for i := range 3 {
				path := write(t, filepath.Join(dir, fmt.Sprintf("lib%d.so", i)), data)
				idle.mapAll(t, path)
				tell(idle.pid())
				log = append(log, "+"+path)
				t.Logf("loaded library reported after %v", w.await(t, soon, log...))
			}
			path := sample(t, "sample-static", dir, "program")
			tell(wait(t, path, nil).pid())
			log = append(log, "+"+path)
			t.Logf("program reported after %v", w.await(t, soon, log...))
		})
	}
}

// processorTime returns the CPU time that this process has used so far.
func processorTime(t testing.TB) time.Duration {
	t.Helper()
	var use unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &use); err != nil {
		t.Fatal(err)
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}

// BenchmarkScan measures a scan that examines 20,000 mapped files of one process.
func BenchmarkScan(b *testing.B) {
	needs.Root(b)
	dir, err := os.MkdirTemp("/dev/shm", "crau")
	if err != nil {
		needs.Missing(b, "%v", err)
	}
	b.Cleanup(func() { os.RemoveAll(dir) })
	paths := plainFiles(b, dir, 20000)
	mapper(b, paths...)
	path := sample(b, "sample", dir, "good.so")
	mapper(b, path)
	var used time.Duration
	for b.Loop() {
		w := discover(b, Config{Rules: Rules{Enabled: true}}, dir)
		before := processorTime(b)
		w.scan(b)
		for len(w.search.catalogue.facts) < len(paths) { // one scan may exceed the owner's share of time
			w.scan(b)
		}
		used += processorTime(b) - before
		w.expect(b, "+"+path)
	}
	if used > time.Duration(b.N)*2*time.Second {
		b.Errorf("a scan takes %v", used/time.Duration(b.N))
	}
	b.ReportMetric(used.Seconds()/float64(b.N), "cpu-s/op")
	b.ReportMetric(float64(used.Microseconds())/float64(b.N)/float64(len(paths)), "cpu-us/file")
}

// plainFiles makes ELF files without probes, which are as large as small libraries.
func plainFiles(b *testing.B, dir string, count int) []string {
	b.Helper()
	object := compile(b, b.TempDir(), "plain.so", `int plain(int x) { return x; }`, "-shared", "-fPIC", "-Wl,-z,noseparate-code", "-s")
	data, err := os.ReadFile(object)
	if err != nil {
		b.Fatal(err)
	}
	var paths []string
	for i := range count {
		paths = append(paths, write(b, filepath.Join(dir, fmt.Sprintf("%02x/%05d.so", i%256, i)), data))
	}
	return paths
}

// BenchmarkIdle measures how much of one processor Run uses while it watches 1,000 idle processes without
// Config.Changed.
func BenchmarkIdle(b *testing.B) {
	needs.Root(b)
	program := compile(b, b.TempDir(), "idle", `#include <unistd.h>
		int main(void) { pause(); }`)
	for range 1000 {
		cmd := exec.Command(program)
		if err := cmd.Start(); err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	}
	time.Sleep(time.Second)
	w := discover(b, Config{Rules: Rules{Enabled: true}}, "/nowhere")
	w.scan(b)
	w.run(b)
	time.Sleep(time.Second)
	before := processorTime(b)
	start := time.Now()
	for b.Loop() {
		time.Sleep(time.Second)
	}
	percent := 100 * (processorTime(b) - before).Seconds() / time.Since(start).Seconds()
	b.ReportMetric(percent, "%cpu")
}
