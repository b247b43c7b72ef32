// SPDX-License-Identifier: Apache-2.0

//go:build adversary

package adversary

import (
	"bufio"
	"debug/elf"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/crau-otel/crau-otel/probes"
	"github.com/crau-otel/crau-otel/test/harness"
)

// lie is a deception by testdata/deceive.c, and how it may appear in spans.
type lie struct {
	start func(t *testing.T) *exec.Cmd
	late  bool // set if the deceiver starts before the victim, and the victim's file is attached meanwhile
	// libraryTrusted is set if the lies are reported by the probes of a file that only root can write.
	libraryTrusted bool
}

// A program of the user nobody reports cryptography that never took place. No lie may look like a report of a trusted
// program or of the victim.
func TestLiesDoNotLookTrusted(t *testing.T) {
	harness.RequireBPF(t)
	p := build(t)
	dir := folder(t)
	deceiver := harness.Compile(t, root, filepath.Join(dir, "deceive"), "testdata/deceive.c")
	library := harness.Compile(t, root, filepath.Join(dir, "libaudited.so"), "-shared", "-fPIC", "testdata/library.c")
	for name, l := range map[string]lie{
		"jump into a trusted library": {libraryTrusted: true, start: func(t *testing.T) *exec.Cmd {
			args := []string{"jump", library}
			for _, function := range []string{"report_new", "report_string", "report_word"} {
				args = append(args, strconv.FormatUint(functionOffset(t, library, function), 10))
			}
			return harness.StartProgram(t, asNobody(t, session(t, "jump"), deceiver, args...))
		}},
		"name of a container": {start: func(t *testing.T) *exec.Cmd {
			return harness.StartProgram(t, asNobody(t, delegated(t, "docker-"+containerID+".scope"), deceiver, "handshake"))
		}},
		"name of a service": {start: func(t *testing.T) *exec.Cmd {
			return harness.StartProgram(t, asNobody(t, delegated(t, victimName()+".service"), deceiver, "handshake"))
		}},
		"strings of other files": {late: true, start: func(t *testing.T) *exec.Cmd { return startStrings(t, deceiver) }},
	} {
		t.Run(name, func(t *testing.T) { p.checkLie(t, l) })
	}
}

var containerID = strings.Repeat("0123456789abcdef", 4)

func victimName() string { return fmt.Sprintf("victim-%d", os.Getpid()) }

// checkLie lets the victim make handshakes while a deceiver lies, and checks the spans from both.
func (p programs) checkLie(t *testing.T, l lie) {
	receiver := harness.Receive(t, harness.ReceiverConfig{})
	victim := harness.Copy(t, p.sample, filepath.Join(folder(t), victimName()))
	agent := harness.Start(t, harness.AgentConfig{Path: p.agent, Args: []string{"--log-level", "debug"}, Env: []string{
		"CRAU_DISCOVERY_ENABLED=true", "OTEL_EXPORTER_OTLP_ENDPOINT=" + receiver.Endpoint(),
	}})
	var deceiver *exec.Cmd
	if l.late {
		deceiver = l.start(t)
	}
	program, begin := p.startVictim(t, victim)
	agent.WaitLog("file=" + victim)
	if !l.late {
		deceiver = l.start(t)
		time.Sleep(time.Second)
	}
	begin()
	if err := program.Wait(); err != nil {
		t.Errorf("victim: %v", err)
	}
	_ = syscall.Kill(-deceiver.Process.Pid, syscall.SIGKILL)
	_ = deceiver.Wait()
	totals := agent.Stop()
	totals.CheckExact(t, totals["hits"])

	var ofVictim []*harness.Span
	instances := make(map[any]bool) // values of service.instance.id in the victim's spans
	for _, s := range receiver.Spans() {
		if s.Resource["service.name"] == filepath.Base(victim) {
			ofVictim = append(ofVictim, s)
			instances[s.Resource["service.instance.id"]] = true
			if s.Parent == "" && (s.Attributes["crypto.process.trust"] != "root" || s.Attributes["crypto.library.all_trusted"] != true) {
				t.Fatalf("the victim is not trusted: %v", s.Attributes)
			}
		}
	}
	harness.CheckPairs(t, filepath.Base(victim), ofVictim, handshakes)
	lies := 0
	for _, s := range receiver.Spans() {
		if !isAttacker(s) {
			continue
		}
		for _, key := range []string{"container.id", "container.runtime.name", "k8s.pod.uid"} {
			if s.Resource[key] != nil {
				t.Errorf("a lie has %s %v", key, s.Resource[key])
			}
		}
		if unit := s.Resource["systemd.unit"]; unit == victimName()+".service" || instances[s.Resource["service.instance.id"]] {
			t.Errorf("a lie looks like the victim's: %v", s.Resource)
		}
		if s.Parent == "" {
			lies++
			if s.Attributes["crypto.process.trust"] != "user" || s.Attributes["crypto.owner.class"] != "user" {
				t.Errorf("a lie is of %v, %v", s.Attributes["crypto.owner.class"], s.Attributes["crypto.process.trust"])
			}
			if trusted := s.Attributes["crypto.library.trusted"]; trusted != l.libraryTrusted {
				t.Errorf("the library of a lie is trusted: %v", trusted)
			}
		}
		if t.Failed() {
			return
		}
	}
	if lies == 0 && !l.late {
		t.Error("no lie arrived")
	}
	t.Logf("%d lies", lies)
	if n := strings.Count(agent.Log(), "strings are read from the traced programs"); l.late && n < 3 {
		t.Errorf("the strings of %d files were not copied, want 3: there was room", n)
	}
	for series, n := range receiver.Metrics.Values() {
		if strings.HasPrefix(series, "crypto.") && strings.Contains(series, "process.executable.name=deceive-") &&
			!strings.Contains(series, "crypto.process.trust=user") {
			t.Errorf("a lie is counted as %s: %v", series, n)
		}
	}
}

// functionOffset returns the offset of a function's code in its file.
func functionOffset(t *testing.T, path, name string) uint64 {
	t.Helper()
	file, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	symbols, err := file.DynamicSymbols()
	if err != nil {
		t.Fatal(err)
	}
	for _, symbol := range symbols {
		if symbol.Name != name {
			continue
		}
		for _, segment := range file.Progs {
			if segment.Type == elf.PT_LOAD && symbol.Value >= segment.Vaddr && symbol.Value < segment.Vaddr+segment.Filesz {
				return symbol.Value - segment.Vaddr + segment.Off
			}
		}
	}
	t.Fatalf("no function %s in %s", name, path)
	return 0
}

// delegated makes a cgroup with that name in the part of the hierarchy that the user nobody may change.
func delegated(t *testing.T, name string) string {
	t.Helper()
	const service = "/user.slice/user-65534.slice/user@65534.service"
	if err := os.Chown(harness.Cgroup(t, service), nobody, nobody); err != nil {
		t.Fatal(err)
	}
	cgroup := harness.Cgroup(t, service+"/"+name)
	if err := os.Chown(cgroup, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	return cgroup
}

// startStrings starts a deceiver and waits until it is done. The deceiver exhausts the memory that the agent reserves
// for strings, and makes the agent fail to attach to files.
func startStrings(t *testing.T, deceiver string) *exec.Cmd {
	t.Helper()
	const fills, broken = 4, 24
	dir := folder(t)
	build := func(name string, args ...string) string {
		path := harness.Compile(t, root, filepath.Join(dir, name), append(args, "-shared", "-fPIC", "testdata/library.c")...)
		if err := os.Chown(path, nobody, nobody); err != nil {
			t.Fatal(err)
		}
		return path
	}
	full, small := build("fill.so", "-DROOM=8300000"), build("broken.so", "-DROOM=4096")
	content, err := os.Open(small)
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close()
	info, err := content.Stat()
	if err != nil {
		t.Fatal(err)
	}
	file, err := probes.Read(content, info.Size(), small)
	if err != nil {
		t.Fatal(err)
	}
	var offsets []string
	for _, site := range file.Sites {
		for _, offset := range site.Offsets() {
			offsets = append(offsets, strconv.FormatUint(offset, 10))
		}
	}
	args := []string{"strings", strings.Join(offsets, ",")}
	copies := func(from string, n int) {
		for i := range n {
			path := harness.Copy(t, from, fmt.Sprint(strings.TrimSuffix(from, ".so"), i, ".so"))
			if err := os.Chown(path, nobody, nobody); err != nil {
				t.Fatal(err)
			}
			args = append(args, path)
		}
	}
	copies(full, fills)
	args = append(args, "-")
	copies(small, broken)
	cmd := asNobody(t, session(t, "strings"), deceiver, args...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	harness.StartProgram(t, cmd)
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "done\n" {
		t.Fatalf("the deceiver says %q, %v", line, err)
	}
	return cmd
}
