// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/crau-otel/crau-otel/test/harness"
)

// discover starts an agent that discovers programs and prints its spans as JSON.
func discover(t *testing.T, args ...string) *harness.TestAgent {
	t.Helper()
	return startAgent(t, []string{"CRAU_DISCOVERY_ENABLED=true"},
		append(append(args, asJSON...), "--log-level", "debug")...)
}

// ofService returns the spans of one service. It removes the spans of other tests' programs, which discovery finds too.
func ofService(spans []*harness.Span, service string) []*harness.Span {
	var own []*harness.Span
	for _, s := range spans {
		if s.Resource["service.name"] == service {
			own = append(own, s)
		}
	}
	return own
}

// unique returns a name that no other program on this machine has.
func unique(t *testing.T, name string) string {
	t.Helper()
	return fmt.Sprintf("%s-%d-%d", name, os.Getpid(), time.Now().UnixNano()%1_000_000)
}

// startWaiting starts a sample program that waits and does not fire its probes.
func startWaiting(t *testing.T, path string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(path, "--wait")
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	return harness.StartProgram(t, cmd)
}

// several is how many trees of a program must arrive before the test ends the program.
const several = 10

func TestProgramsStartedLaterAreFound(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		trusted any
		command func(t *testing.T, service string) *exec.Cmd
	}{
		{"static, in another root folder", false, func(t *testing.T, service string) *exec.Cmd {
			root := t.TempDir()
			harness.Copy(t, staticPath, filepath.Join(root, service))
			cmd := exec.Command("/"+service, "--rate", "100")
			cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root}
			return cmd
		}},
		{"in a mount namespace of its own", nil, func(_ *testing.T, service string) *exec.Cmd {
			script := `set -e; mount -t tmpfs -o mode=755 none /mnt; cp "$1" "/mnt/$2"; exec "/mnt/$2" --rate 100`
			cmd := exec.Command("sh", "-c", script, "sh", samplePath, service)
			cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
			return cmd
		}},
		{"deleted as soon as it runs", false, func(t *testing.T, service string) *exec.Cmd {
			path := harness.Copy(t, samplePath, filepath.Join(t.TempDir(), service))
			return exec.Command("sh", "-c", `"$1" --rate 100 & until [ "$(readlink /proc/$!/exe)" = "$1" ]; do :; done; rm "$1"; trap "kill $!; wait; exit 0" TERM; wait`, "sh", path)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			service := unique(t, "later")
			a := discover(t)
			program := harness.StartProgram(t, c.command(t, service))
			a.WaitTrees(service, several+2)
			harness.Finish(t, program)
			n := a.Stop()
			n.CheckExact(t, n["hits"])
			roots := harness.Trees(t, ofService(a.ConsoleSpans(), service))
			whole := 0
			for _, root := range roots {
				if text := root.Text(); text == harness.ClientTree || text == harness.ServerTree {
					whole++
				}
				if got := root.Attributes["crypto.library.trusted"]; c.trusted != nil && got != c.trusted {
					t.Errorf("crypto.library.trusted is %v", got)
				}
				if got := root.Attributes["crypto.library.name"]; got != service {
					t.Errorf("crypto.library.name is %v", got)
				}
			}
			// The first handshakes may be missing or incomplete, because the program starts before its file is
			// attached.
			if whole < several || whole < len(roots)-2 {
				t.Errorf("%d whole trees of %d", whole, len(roots))
			}
		})
	}
}

func TestLibraryLoadedByDlopenIsFound(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	service := unique(t, "loads")
	library := harness.Compile(t, root, filepath.Join(dir, "libspeaks.so.1.2"), "testdata/library.c", "-shared", "-fPIC")
	program := harness.Compile(t, root, filepath.Join(dir, service), "testdata/loads.c", "-ldl")
	a := discover(t)
	cmd := harness.StartProgram(t, exec.Command(program, library, "5"))
	a.WaitTrees(service, several)
	_ = cmd.Process.Kill()
	a.Stop()
	roots := harness.Trees(t, ofService(a.ConsoleSpans(), service))
	if len(roots) < several {
		t.Fatalf("%d trees", len(roots))
	}
	for _, root := range roots {
		if root.Name != "pk::sign" || root.Attributes["crypto.library.path"] != library ||
			root.Attributes["crypto.library.version"] != "1.2" || root.Attributes["pk.algorithm"] != "ED25519" {
			t.Fatalf("%s %v", root.Name, root.Attributes)
		}
	}
}

// When an upgrade replaces a file by renaming a new file, running processes still map the old file. The old file stays
// attached beside the new one.
func TestFileReplacedWhileItRunsStaysAttachedBesideTheNewOne(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	service := unique(t, "upgraded")
	path := harness.Copy(t, samplePath, filepath.Join(dir, service))
	old := harness.StartProgram(t, exec.Command(path, "--rate", "100"))
	a := discover(t)
	if err := os.Rename(harness.Copy(t, staticPath, path+".new"), path); err != nil {
		t.Fatal(err)
	}
	fresh := harness.StartProgram(t, exec.Command(path, "--rate", "100"))
	a.WaitLogs("msg=attached file="+path, 2)
	was, is := buildID(t, samplePath), buildID(t, staticPath)
	trees := func(spans []*harness.Span) (n map[any]int, last map[any]time.Time) {
		n, last = make(map[any]int), make(map[any]time.Time)
		for _, s := range ofService(spans, service) {
			if id := s.Attributes["crypto.library.build_id"]; s.Parent == "" {
				n[id]++
				last[id] = s.End
			}
		}
		return n, last
	}
	a.WaitPrinted(func(spans []*harness.Span) bool {
		n, _ := trees(spans)
		return n[was] >= several && n[is] >= several
	})
	harness.Finish(t, old)
	a.WaitLog("msg=detached file=" + path) // happens when no process maps the old file any more
	a.WaitPrinted(func(spans []*harness.Span) bool {
		_, last := trees(spans)
		return last[is].After(last[was])
	})
	harness.Finish(t, fresh)
	totals := a.Stop()
	totals.CheckExact(t, totals["hits"])
	spans := a.ConsoleSpans()
	for _, s := range ofService(spans, service) {
		id := s.Attributes["crypto.library.build_id"]
		if executable := s.Resource["process.executable.build_id.gnu"]; s.Parent == "" && executable != id {
			t.Errorf("the program has the build id %v, what spoke has %v", executable, id)
		}
	}
	n, last := trees(spans)
	if len(n) != 2 || n[was] < several || n[is] < several || !last[is].After(last[was]) {
		t.Errorf("trees by build id: %v, want some of %s and, for longer, of %s", n, was, is)
	}
}

func buildID(t *testing.T, path string) string {
	t.Helper()
	head, _, _ := strings.Cut(crau(t, nil, "probes", path).stdout, "\n")
	_, id, ok := strings.Cut(head, "build id ")
	if !ok {
		t.Fatalf("%s has no build id: %s", path, head)
	}
	return id
}

// The trees of two programs that run simultaneously are not mixed, even if the programs fork and have several threads.
func TestTwoProgramsAtOnceAreKeptApart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	services := []string{unique(t, "one"), unique(t, "two")}
	var programs []*exec.Cmd
	a := discover(t)
	for _, service := range services {
		path := harness.Copy(t, samplePath, filepath.Join(dir, service))
		startWaiting(t, path) // makes discovery find the file
		a.WaitLog("/" + service)
		programs = append(programs, exec.Command(path, "--count", "50", "--rate", "0", "--forks", "2", "--threads", "2"))
	}
	for _, p := range programs {
		harness.StartProgram(t, p)
	}
	for _, p := range programs {
		if err := p.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	n := a.Stop()
	n.CheckExact(t, n["hits"])
	spans := a.ConsoleSpans()
	instances := make(map[any]bool)
	for _, service := range services {
		own := ofService(spans, service)
		harness.CheckPairs(t, service, own, 50)
		for _, s := range own {
			instances[s.Resource["service.instance.id"]] = true
			if s.Resource["process.executable.name"] != service || s.Attributes["crypto.library.name"] != nil &&
				s.Attributes["crypto.library.name"] != service {
				t.Fatalf("%s: %v, %v", service, s.Resource, s.Attributes)
			}
		}
	}
	if len(instances) != 2 {
		t.Errorf("service.instance.id has the values %v", instances)
	}
}

// With --user, the agent still finds programs that other users start, and does not log warnings. The test is not
// parallel, because programs of other tests could cause warnings.
func TestUserFindsWhatOthersStart(t *testing.T) {
	service := unique(t, "others")
	a := discover(t, "--user", "nobody")
	root := t.TempDir()
	harness.Copy(t, staticPath, filepath.Join(root, "private", service))
	if err := os.Chmod(filepath.Join(root, "private"), 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/private/"+service, "--rate", "100")
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root}
	program := harness.StartProgram(t, cmd)
	a.WaitTrees(service, several)
	harness.Finish(t, program)
	a.Stop()
	if strings.Contains(a.Log(), "level=WARN") { // an operation that is no longer allowed would cause one
		t.Errorf("there are warnings")
	}
	roots := harness.Trees(t, ofService(a.ConsoleSpans(), service))
	if len(roots) < several {
		t.Errorf("%d trees", len(roots))
	}
	for _, root := range roots {
		if got := root.Attributes["crypto.process.user_class"]; got != "root" {
			t.Errorf("crypto.process.user_class is %v", got)
		}
		if got := root.Attributes["crypto.process.trust"]; got != "foreign_code" { // anyone may write to it
			t.Errorf("crypto.process.trust is %v", got)
		}
	}
}

func TestDeniedFilesAreNotAttached(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	denied, allowed := unique(t, "denied"), unique(t, "allowed")
	a := startAgent(t, []string{"CRAU_DISCOVERY_ENABLED=true", "CRAU_DISCOVERY_DENY=" + denied},
		append(asJSON, "--log-level", "debug")...)
	var programs []*exec.Cmd
	for _, service := range []string{denied, allowed} {
		path := harness.Copy(t, samplePath, filepath.Join(dir, service))
		programs = append(programs, harness.StartProgram(t, exec.Command(path, "--rate", "100")))
	}
	a.WaitTrees(allowed, several)
	for _, p := range programs {
		harness.Finish(t, p)
	}
	a.Stop()
	spans := a.ConsoleSpans()
	if len(ofService(spans, allowed)) == 0 || len(ofService(spans, denied)) != 0 {
		t.Errorf("%d spans of the allowed, %d of the denied program", len(ofService(spans, allowed)), len(ofService(spans, denied)))
	}
}

// Without a path, the command probes lists the files with probes on the host and whether they are attached. The test is
// not parallel, because agents with discovery of other tests would attach the file.
func TestProbesListsTheFilesOnTheHost(t *testing.T) {
	dir := t.TempDir()
	service := unique(t, "listed")
	path := harness.Copy(t, samplePath, filepath.Join(dir, service))
	program := startWaiting(t, path)
	type listed struct {
		Path      string   `json:"path"`
		BuildID   string   `json:"build_id"`
		Sites     int      `json:"sites"`
		Processes []uint32 `json:"processes"`
		Count     int      `json:"process_count"`
		Trusted   bool     `json:"trusted"`
		Distrust  string   `json:"distrust"`
		Attached  *bool    `json:"attached"`
		Reason    string   `json:"reason"`
	}
	list := func() listed {
		t.Helper()
		got := crau(t, nil, "probes", "--output", "json")
		var files []listed
		if err := json.Unmarshal([]byte(got.stdout), &files); err != nil || got.code != 0 {
			t.Fatalf("exit code %d, %v: %s%s", got.code, err, got.stdout, got.stderr)
		}
		i := slices.IndexFunc(files, func(f listed) bool { return f.Path == path })
		if i < 0 {
			t.Fatalf("%s is not listed: %s", path, got.stdout)
		}
		return files[i]
	}
	before := list()
	if before.BuildID != buildID(t, samplePath) || before.Sites < 6 || before.Count != 1 || before.Trusted || before.Distrust == "" ||
		!slices.Equal(before.Processes, []uint32{uint32(program.Process.Pid)}) {
		t.Errorf("listed as %+v", before)
	}
	if before.Attached == nil || *before.Attached || before.Reason == "" {
		t.Errorf("while no agent runs, listed as %+v", before)
	}
	a := discover(t)
	if during := list(); during.Attached == nil || !*during.Attached || during.Reason != "" {
		t.Errorf("while an agent runs, listed as %+v", during)
	}
	text := line(t, crau(t, nil, "probes").stdout, path)
	if !strings.HasSuffix(text, "  yes\n") || !strings.Contains(text, before.BuildID[:12]) {
		t.Errorf("as text: %s", text)
	}
	a.Stop()
}
