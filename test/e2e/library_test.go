// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/crau-otel/crau-otel/test/harness"
)

// badFile is a path that no probe can be found in, and what is said of it.
type badFile struct{ path, want string }

func badFiles(t *testing.T) []badFile {
	t.Helper()
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	program, err := os.ReadFile(samplePath)
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable() // a test has no probes
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{
		"text": []byte("hello\n"), "empty": nil, "magic": []byte("\x7fELF"), "cut": program[:len(program)/2],
	} {
		if err := os.WriteFile(at(name), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(at("fifo"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("itself", at("itself")); err != nil {
		t.Fatal(err)
	}
	return []badFile{
		{at("missing"), "no such file or directory"},
		{at("text"), "not an ELF file"},
		{at("empty"), "not an ELF file"},
		{at("magic"), "ELFCLASSNONE is not supported"},
		{at("cut"), "outside of the file"},
		{self, "no crypto_auditing probes"},
		{dir, "not a regular file"},
		{at("fifo"), "not a regular file"},
		{"/dev/null", "not a regular file"},
		{at("itself"), "too many levels of symbolic links"},
	}
}

// line returns the only line of text that holds all parts.
func line(t *testing.T, text string, parts ...string) string {
	t.Helper()
	var found []string
	for l := range strings.Lines(text) {
		ok := true
		for _, p := range parts {
			ok = ok && strings.Contains(l, p)
		}
		if ok {
			found = append(found, l)
		}
	}
	if len(found) != 1 {
		t.Errorf("%d lines with %q in\n%s", len(found), parts, text)
		return ""
	}
	return found[0]
}

func TestBadLibrariesBesideAGoodOne(t *testing.T) {
	bad := badFiles(t)
	args := []string{"--exporter", "console", "--console-format", "json"}
	for _, b := range bad {
		args = append(args, "--library", b.path)
	}
	a := startAgent(t, nil, append(args, "--library", samplePath)...)
	hits := runSample(t, "--count", "1", "--rate", "0")
	a.stop().checkExact(t, hits)
	checkPairs(t, consoleSpans(t, a.stdout.Bytes()), 1)
	log := a.logText()
	for _, b := range bad {
		line(t, log, "level=WARN", "file="+b.path+" ", b.want)
	}
	if n := strings.Count(log, "level=WARN"); n != len(bad) {
		t.Errorf("%d warnings, want one for each of %d files", n, len(bad))
	}
	line(t, log, "msg=ready", " files=1 ")
}

func TestOnlyBadLibraries(t *testing.T) {
	harness.RequireBPF(t)
	bad := badFiles(t)
	args := []string{"run", "--exporter", "none"}
	for _, b := range bad {
		args = append(args, "--library", b.path)
	}
	got := crau(t, nil, args...)
	if got.code != 1 || got.stdout != "" {
		t.Errorf("exit code %d, stdout %q", got.code, got.stdout)
	}
	for _, b := range bad {
		line(t, got.stderr, "level=WARN", "file="+b.path+" ", b.want)
	}
	lines := strings.Split(strings.TrimSuffix(got.stderr, "\n"), "\n")
	if last := lines[len(lines)-1]; last != "crau-otel: nothing attached: no file has a usable crypto_auditing probe" ||
		len(lines) != len(bad)+1 {
		t.Errorf("want a warning for each file and a line that says why it ends:\n%s", got.stderr)
	}
}

// The same file twice, by whatever name, would give every event twice.
func TestALibraryThatIsNamedTwice(t *testing.T) {
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(samplePath, link); err != nil {
		t.Fatal(err)
	}
	a := startAgent(t, nil, "--library", samplePath, "--library", samplePath, "--library", link, "--exporter", "console",
		"--console-format", "json")
	hits := runSample(t, "--count", "1", "--rate", "0")
	a.stop().checkExact(t, hits)
	checkPairs(t, consoleSpans(t, a.stdout.Bytes()), 1)
	line(t, a.logText(), "msg=ready", " files=1 ")
}

var siteLine = regexp.MustCompile(`(?m)^  (new_context|word_data|string_data|blob_data|data|new_context_with_data) +` +
	`0x[0-9a-f]+ +- +-?8@\S+( -?8@\S+)*$`)

func TestProbesText(t *testing.T) {
	got := crau(t, nil, "probes", samplePath)
	if got.code != 0 || got.stderr != "" {
		t.Errorf("exit code %d, stderr %s", got.code, got.stderr)
	}
	head := regexp.MustCompile(`^` + samplePath + `: (\d+) sites, EM_\w+, build id [0-9a-f]{40}\n`).FindStringSubmatch(got.stdout)
	if head == nil {
		t.Fatalf("the first line is not about the file:\n%s", got.stdout)
	}
	if sites := len(siteLine.FindAllString(got.stdout, -1)); fmt.Sprint(sites) != head[1] || sites < 6 {
		t.Errorf("%s sites, but %d lines of sites:\n%s", head[1], sites, got.stdout)
	}
}

type listedFile struct {
	Path    string `json:"path"`
	Machine string `json:"machine"`
	BuildID string `json:"build_id"`
	Sites   []struct {
		Probe     string `json:"probe"`
		Address   uint64 `json:"address"`
		Offset    uint64 `json:"offset"`
		Arguments string `json:"arguments"`
	} `json:"sites"`
}

func TestProbesJSON(t *testing.T) {
	got := crau(t, nil, "probes", "--output", "json", samplePath, samplePath)
	var files []listedFile
	if err := json.Unmarshal([]byte(got.stdout), &files); err != nil || got.code != 0 || got.stderr != "" {
		t.Fatalf("exit code %d, %v: %s\n%s", got.code, err, got.stderr, got.stdout)
	}
	if len(files) != 2 {
		t.Fatalf("%d files, want 2", len(files))
	}
	arguments := map[string]int{
		"new_context": 2, "word_data": 3, "string_data": 3, "blob_data": 4, "data": 3, "new_context_with_data": 4,
	}
	for _, f := range files {
		if f.Path != samplePath || !strings.HasPrefix(f.Machine, "EM_") || len(f.BuildID) != 40 {
			t.Errorf("file is %+v", f)
		}
		seen := make(map[string]bool)
		for _, s := range f.Sites {
			seen[s.Probe] = true
			if s.Offset == 0 || s.Address < s.Offset || len(strings.Fields(s.Arguments)) != arguments[s.Probe] {
				t.Errorf("site is %+v", s)
			}
		}
		if len(seen) != len(arguments) {
			t.Errorf("probes are %v, want %v", seen, arguments)
		}
	}
}

func TestProbesOfBadFiles(t *testing.T) {
	bad := badFiles(t)
	args := []string{"probes"}
	for i, b := range bad {
		if i == 2 {
			args = append(args, samplePath)
		}
		args = append(args, b.path)
	}
	got := crau(t, nil, args...)
	if got.code != 1 {
		t.Errorf("exit code %d, want 1", got.code)
	}
	for _, b := range bad {
		line(t, got.stderr, b.path+": ", b.want)
	}
	if n := strings.Count(got.stderr, "\n"); n != len(bad) {
		t.Errorf("%d lines of errors for %d files:\n%s", n, len(bad), got.stderr)
	}
	if !strings.HasPrefix(got.stdout, samplePath+": ") || len(siteLine.FindAllString(got.stdout, -1)) < 6 {
		t.Errorf("the good file is not listed:\n%s", got.stdout)
	}

	got = crau(t, nil, append(args, "--output", "json")...)
	var files []listedFile
	if err := json.Unmarshal([]byte(got.stdout), &files); err != nil || got.code != 1 || len(files) != 1 || files[0].Path != samplePath {
		t.Errorf("exit code %d, %v; want code 1 and the good file:\n%s", got.code, err, got.stdout)
	}
}
