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

// badFile is the path of a file without usable probes, and the reason that crau-otel must report.
type badFile struct{ path, want string }

func badFiles(t *testing.T) []badFile {
	t.Helper()
	dir := t.TempDir()
	inDir := func(name string) string { return filepath.Join(dir, name) }
	program, err := os.ReadFile(samplePath)
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable() // the test program has no probes
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{
		"text": []byte("hello\n"), "empty": nil, "magic": []byte("\x7fELF"), "cut": program[:len(program)/2],
	} {
		if err := os.WriteFile(inDir(name), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(inDir("fifo"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("itself", inDir("itself")); err != nil {
		t.Fatal(err)
	}
	return []badFile{
		{inDir("missing"), "no such file or directory"},
		{inDir("text"), "not an ELF file"},
		{inDir("empty"), "not an ELF file"},
		{inDir("magic"), "ELFCLASSNONE is not supported"},
		{inDir("cut"), "outside the file"},
		{self, "no crypto_auditing probes"},
		{dir, "not a regular file"},
		{inDir("fifo"), "not a regular file"},
		{"/dev/null", "not a regular file"},
		{inDir("itself"), "too many levels of symbolic links"},
	}
}

func TestBadLibrariesAreNamedAndAGoodOneIsTraced(t *testing.T) {
	t.Parallel()
	bad := badFiles(t)
	args := []string{"--exporter", "console", "--console-format", "json"}
	for _, b := range bad {
		args = append(args, "--library", b.path)
	}
	sample := ownSample(t)
	a := startAgent(t, nil, append(args, "--library", sample)...)
	hits := harness.RunSample(t, sample, "--count", "1", "--rate", "0")
	a.Stop().CheckExact(t, hits)
	harness.CheckPairs(t, "sample", a.ConsoleSpans(), 1)
	log := a.Log()
	for _, b := range bad {
		line(t, log, "level=WARN", "file="+b.path+" ", b.want)
	}
	if n := strings.Count(log, "level=WARN"); n != len(bad) {
		t.Errorf("%d warnings, want one for each of %d files", n, len(bad))
	}
	line(t, log, "msg=ready", " files=1 ")
}

func TestRunWithBadLibrariesAloneFails(t *testing.T) {
	t.Parallel()
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

// If two paths in the list of libraries are the same file, it is attached once. Otherwise, every event would be
// reported twice.
func TestLibraryThatIsListedTwiceIsAttachedOnce(t *testing.T) {
	t.Parallel()
	sample := ownSample(t)
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(sample, link); err != nil {
		t.Fatal(err)
	}
	a := startAgent(t, nil, "--library", sample, "--library", sample, "--library", link, "--exporter", "console",
		"--console-format", "json")
	hits := harness.RunSample(t, sample, "--count", "1", "--rate", "0")
	a.Stop().CheckExact(t, hits)
	harness.CheckPairs(t, "sample", a.ConsoleSpans(), 1)
	line(t, a.Log(), "msg=ready", " files=1 ")
}

var siteLine = regexp.MustCompile(`(?m)^  (new_context|word_data|string_data|blob_data|data|new_context_with_data) +` +
	`0x[0-9a-f]+ +- +-?8@\S+( -?8@\S+)*$`)

func TestProbesListsSitesAsText(t *testing.T) {
	t.Parallel()
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

func TestProbesListsSitesAsJSON(t *testing.T) {
	t.Parallel()
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

func TestProbesReportsBadFilesAndListsTheGoodOne(t *testing.T) {
	t.Parallel()
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
