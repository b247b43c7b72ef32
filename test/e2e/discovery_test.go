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
)

// discover starts an agent that finds by itself what it traces, and keeps what it exports.
func discover(t *testing.T, args ...string) *agent {
	t.Helper()
	return startAgent(t, []string{"CRAU_DISCOVERY_ENABLED=true"},
		append(args, "--exporter", "console", "--console-format", "json", "--log-level", "debug")...)
}

// ofService returns the spans of one service: other programs of this machine may be found, too.
func ofService(spans []*span, service string) []*span {
	var own []*span
	for _, s := range spans {
		if s.Resource["service.name"] == service {
			own = append(own, s)
		}
	}
	return own
}

// unique returns a name that no other program of this machine has.
func unique(t *testing.T, name string) string {
	t.Helper()
	return fmt.Sprintf("%s-%d-%d", name, os.Getpid(), time.Now().UnixNano()%1_000_000)
}

// install copies a program of this test.
func install(t *testing.T, from, to string) string {
	t.Helper()
	data, err := os.ReadFile(from)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(to), 0o755)
	}
	if err == nil {
		err = os.WriteFile(to, data, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	return to
}

// build compiles a program or library of testdata with the header of examples.
func build(t *testing.T, source, to string, flags ...string) string {
	t.Helper()
	args := append([]string{"-I../../examples/include", "-O2", "-o", to, source}, flags...)
	if out, err := exec.Command("cc", args...).CombinedOutput(); err != nil {
		t.Fatalf("cc %v: %v\n%s", args, err, out)
	}
	return to
}

// start starts a program that runs until the test ends.
func start(t *testing.T, cmd *exec.Cmd) *exec.Cmd {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd
}

// waits starts a sample program that fires nothing until the test ends.
func waits(t *testing.T, path string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(path, "--wait")
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	return start(t, cmd)
}

// end ends a sample program and waits until it has.
func end(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
}

// settled is how long programs fire on after they were found, so that whole handshakes of theirs must be there.
const settled = 300 * time.Millisecond

func TestProgramsThatAreStartedLaterAreFound(t *testing.T) {
	for _, c := range []struct {
		name    string
		trusted any
		command func(t *testing.T, service string) *exec.Cmd
	}{
		{"static, in another root folder", false, func(t *testing.T, service string) *exec.Cmd {
			root := t.TempDir()
			install(t, staticPath, filepath.Join(root, service))
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
			path := install(t, samplePath, filepath.Join(t.TempDir(), service))
			return exec.Command("sh", "-c", `"$1" --rate 100 & until [ "$(readlink /proc/$!/exe)" = "$1" ]; do :; done; rm "$1"; trap "kill $!; wait; exit 0" TERM; wait`, "sh", path)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			service := unique(t, "later")
			a := discover(t)
			program := start(t, c.command(t, service))
			a.waitLog("/" + service)
			time.Sleep(settled)
			end(t, program)
			n := a.stop()
			n.checkExact(t, n["hits"])
			roots := trees(t, ofService(consoleSpans(t, a.stdout.Bytes()), service))
			whole := 0
			for _, root := range roots {
				if text := root.text(); text == strings.TrimPrefix(clientTree, "\n") || text == strings.TrimPrefix(serverTree, "\n") {
					whole++
				}
				if got := root.Attributes["crypto.library.trusted"]; c.trusted != nil && got != c.trusted {
					t.Errorf("crypto.library.trusted is %v", got)
				}
				if got := root.Attributes["crypto.library.name"]; got != service {
					t.Errorf("crypto.library.name is %v", got)
				}
			}
			// Of the first handshakes some may be missed, or part of one.
			if whole < 10 || whole < len(roots)-2 {
				t.Errorf("%d whole trees of %d", whole, len(roots))
			}
		})
	}
}

func TestDlopenedLibraryIsFound(t *testing.T) {
	dir := t.TempDir()
	service := unique(t, "loads")
	library := build(t, "testdata/library.c", filepath.Join(dir, "libspeaks.so.1.2"), "-shared", "-fPIC")
	program := build(t, "testdata/loads.c", filepath.Join(dir, service), "-ldl")
	a := discover(t)
	cmd := start(t, exec.Command(program, library, "5"))
	a.waitLog(library)
	time.Sleep(settled)
	_ = cmd.Process.Kill()
	a.stop()
	roots := trees(t, ofService(consoleSpans(t, a.stdout.Bytes()), service))
	if len(roots) < 10 {
		t.Fatalf("%d trees", len(roots))
	}
	for _, root := range roots {
		if root.Name != "pk::sign" || root.Attributes["crypto.library.path"] != library ||
			root.Attributes["crypto.library.version"] != "1.2" || root.Attributes["pk.algorithm"] != "ED25519" {
			t.Fatalf("%s %v", root.Name, root.Attributes)
		}
	}
}

// An upgrade renames the new file over the old one, which old processes go on with.
func TestFileThatIsReplacedWhileItRuns(t *testing.T) {
	dir := t.TempDir()
	service := unique(t, "upgraded")
	path := install(t, samplePath, filepath.Join(dir, service))
	old := start(t, exec.Command(path, "--rate", "100"))
	a := discover(t)
	if err := os.Rename(install(t, staticPath, path+".new"), path); err != nil {
		t.Fatal(err)
	}
	fresh := start(t, exec.Command(path, "--rate", "100"))
	for range 500 { // the same path once more
		if strings.Count(a.logText(), "msg=attached file="+path) == 2 {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	time.Sleep(settled)
	end(t, old)
	a.waitLog("msg=detached file=" + path) // nobody maps the old file any more, and it is gone
	time.Sleep(settled)
	end(t, fresh)
	n := a.stop()
	n.checkExact(t, n["hits"])
	spans := ofService(consoleSpans(t, a.stdout.Bytes()), service)
	last := make(map[any]time.Time)
	trees := make(map[any]int)
	for _, s := range spans {
		if s.Parent == "" {
			id := s.Attributes["crypto.library.build_id"]
			trees[id]++
			last[id] = s.End
			if executable := s.Resource["process.executable.build_id.gnu"]; executable != id {
				t.Errorf("the program has the build id %v, what spoke has %v", executable, id)
			}
		}
	}
	was, is := buildID(t, samplePath), buildID(t, staticPath)
	if len(trees) != 2 || trees[was] < 10 || trees[is] < 10 || !last[is].After(last[was]) {
		t.Errorf("trees by build id: %v, want some of %s and, for longer, of %s", trees, was, is)
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

// Forks before and after a handshake, threads, and two programs at once.
func TestTwoProgramsAtOnce(t *testing.T) {
	dir := t.TempDir()
	services := []string{unique(t, "one"), unique(t, "two")}
	var programs []*exec.Cmd
	a := discover(t)
	for _, service := range services {
		path := install(t, samplePath, filepath.Join(dir, service))
		waits(t, path) // so that it is found
		a.waitLog("/" + service)
		programs = append(programs, exec.Command(path, "--count", "50", "--rate", "0", "--forks", "2", "--threads", "2"))
	}
	for _, p := range programs {
		start(t, p)
	}
	for _, p := range programs {
		if err := p.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	n := a.stop()
	n.checkExact(t, n["hits"])
	spans := consoleSpans(t, a.stdout.Bytes())
	instances := make(map[any]bool)
	for _, service := range services {
		own := ofService(spans, service)
		checkPairsOf(t, service, own, 50)
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

// With --user the agent still finds what other users start.
func TestUserFindsWhatOthersStart(t *testing.T) {
	service := unique(t, "others")
	a := discover(t, "--user", "nobody")
	root := t.TempDir()
	install(t, staticPath, filepath.Join(root, "private", service))
	if err := os.Chmod(filepath.Join(root, "private"), 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/private/"+service, "--rate", "100")
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root}
	program := start(t, cmd)
	a.waitLog("/" + service)
	time.Sleep(settled)
	end(t, program)
	a.stop()
	if strings.Contains(a.logText(), "level=WARN") { // what it is not allowed to do any more
		t.Errorf("there are warnings")
	}
	roots := trees(t, ofService(consoleSpans(t, a.stdout.Bytes()), service))
	if len(roots) < 10 {
		t.Errorf("%d trees", len(roots))
	}
	for _, root := range roots {
		if got := root.Attributes["crypto.process.user_class"]; got != "root" {
			t.Errorf("crypto.process.user_class is %v", got)
		}
	}
}

func TestDeniedFilesAreNotAttached(t *testing.T) {
	dir := t.TempDir()
	denied, allowed := unique(t, "denied"), unique(t, "allowed")
	a := startAgent(t, []string{"CRAU_DISCOVERY_ENABLED=true", "CRAU_DISCOVERY_DENY=" + denied}, "--exporter", "console",
		"--console-format", "json", "--log-level", "debug")
	var programs []*exec.Cmd
	for _, service := range []string{denied, allowed} {
		path := install(t, samplePath, filepath.Join(dir, service))
		programs = append(programs, start(t, exec.Command(path, "--rate", "100")))
	}
	a.waitLog("/" + allowed)
	time.Sleep(settled)
	for _, p := range programs {
		end(t, p)
	}
	a.stop()
	spans := consoleSpans(t, a.stdout.Bytes())
	if len(ofService(spans, allowed)) == 0 || len(ofService(spans, denied)) != 0 {
		t.Errorf("%d spans of the allowed, %d of the denied program", len(ofService(spans, allowed)), len(ofService(spans, denied)))
	}
}

// Without a path, probes lists what is on the host, and who has it attached.
func TestProbesOfTheHost(t *testing.T) {
	dir := t.TempDir()
	service := unique(t, "listed")
	path := install(t, samplePath, filepath.Join(dir, service))
	program := waits(t, path)
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
	a.stop()
}
