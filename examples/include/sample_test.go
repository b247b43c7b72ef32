// SPDX-License-Identifier: Apache-2.0

//go:build linux && amd64

package crau_test

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/crau-otel/crau-otel/test/needs"
)

// buildSample builds a program of ../sample and returns its path.
func buildSample(t *testing.T, program string) string {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.Command(needs.Program(t, "make"), "-C", "../sample", "BIN="+dir, dir+"/"+program)
	if b, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, b)
	}
	return dir + "/" + program
}

// checkFired compares the numbers of hits that the sample program printed with those that were observed.
func checkFired(t *testing.T, stdout string, hits map[string]int) {
	t.Helper()
	want := "fired"
	for _, name := range []string{
		"new_context", "word_data", "string_data", "blob_data", "data", "new_context_with_data",
	} {
		want += fmt.Sprintf(" %s=%d", name, hits[name])
	}
	if !strings.HasSuffix(stdout, want+"\n") {
		t.Errorf("the sample printed %q, but %s", stdout, want)
	}
}

// TestSampleFiresTheGoldenEvents compares the events of the sample program with golden files, so that tests of tracers
// can rely on them.
func TestSampleFiresTheGoldenEvents(t *testing.T) {
	sample := buildSample(t, "sample")
	for name, args := range map[string]string{
		"explicit":       "--count 2 --rate 0",
		"self":           "--count 2 --rate 0 --style self",
		"link":           "--count 2 --rate 0 --style link",
		"explicit-tls12": "--count 1 --rate 0 --version 1.2 --old-names",
		"self-tls12":     "--count 1 --rate 0 --version 1.2 --style self",
		"client-groups":  "--count 1 --rate 0 --role client --group 4587 --offer 4587,29,256,514,65000",
		"array16":        "--mode array16",
		"long":           "--mode long",
		"bytes":          "--mode bytes",
		"cold":           "--mode cold --count 2",
		"flood":          "--mode flood --count 3",
		"deep":           "--mode deep --depth 3",
		"wide":           "--mode wide --count 3",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var events strings.Builder
			contexts, hits := make(map[uint64]int), make(map[string]int)
			stdout := trace(t, func(h hit) {
				hits[h.name]++
				if name == "cold" {
					checkCold(t, h)
				}
				events.WriteString(h.event(contexts) + "\n")
			}, sample, strings.Fields(args)...)
			checkFired(t, stdout, hits)
			golden(t, "sample-"+name, events.String())
		})
	}
}

// checkCold checks that the memory an event refers to is not in a page table yet, on either side of a page border.
func checkCold(t *testing.T, h hit) {
	t.Helper()
	cold := func(what string, addr uint64) {
		if h.resident(t, addr) {
			t.Errorf("%s of %s %s is resident", what, h.name, h.text(h.args[1]))
		}
	}
	crossing := func(what string, addr uint64) {
		cold(what, addr)
		cold("end of "+what, addr+16)
	}
	switch h.name {
	case "string_data":
		switch key := h.text(h.args[1]); {
		case key == "test::crossing_string":
			crossing("value", h.args[2])
		case key != "name":
			cold("value", h.args[2])
		}
	case "blob_data":
		crossing("value", h.args[2])
	case "word_data":
		crossing("key", h.args[1])
	case "data":
		cold("array", h.args[1])
		for b := h.bytes(h.args[1], 24*h.args[2]); len(b) > 0; b = b[24:] {
			cold("key", quad(b))
			if size := quad(b[16:]); size != ^uint64(0)-1 {
				cold("value", quad(b[8:]))
			}
		}
	}
}

// TestSampleBad only compares the numbers of hits, because most pointers in mode bad are invalid.
func TestSampleBad(t *testing.T) {
	hits := make(map[string]int)
	stdout := trace(t, func(h hit) { hits[h.name]++ }, buildSample(t, "sample"), "--mode", "bad")
	checkFired(t, stdout, hits)
}

// TestManyWorkersFireWhatOneFires checks that the numbers of hits are the same with many threads and processes as with
// one.
func TestManyWorkersFireWhatOneFires(t *testing.T) {
	sample := buildSample(t, "sample-static")
	var want string
	for _, args := range []string{"", "--threads 4", "--forks 3", "--threads 2 --forks 2", "--wait"} {
		cmd := exec.Command(sample, append(strings.Fields(args), "--count", "100", "--rate", "5000")...)
		cmd.Stdin = strings.NewReader("\n")
		b, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s: %v", args, err)
		}
		got := strings.TrimPrefix(string(b), "ready\n")
		if want == "" {
			want = got
		}
		if got != want {
			t.Errorf("%s: %q, not %q", args, got, want)
		}
	}
}
