// SPDX-License-Identifier: Apache-2.0

//go:build adversary

package adversary

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/crau-otel/crau-otel/test/harness"
)

const (
	root   = "../.." // path of the repository
	nobody = 65534

	handshakes = 100
	perSecond  = 25
)

// attacks are the modes of testdata/attack.c.
var attacks = []string{"contexts", "queue", "forks", "processes", "names", "keys", "nonsense", "flood"}

// programs are the paths of the built programs.
type programs struct{ agent, sample, attack string }

func build(t *testing.T) programs {
	t.Helper()
	dir := folder(t)
	p := programs{filepath.Join(dir, "crau-otel"), filepath.Join(dir, "sample"), filepath.Join(dir, "attack")}
	if err := harness.BuildAgent(root, p.agent); err != nil {
		t.Fatal(err)
	}
	if err := harness.BuildSample(root, dir); err != nil {
		t.Fatal(err)
	}
	harness.Compile(t, root, p.attack, "testdata/attack.c")
	return p
}

// folder makes a folder that everybody may read. Only root may write to it and to its parent folders, so that files in
// it are trusted.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/opt", "crau-adversary")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// Hostile users do not make other programs lose handshakes or trust. The test is not parallel, because the attacks use
// all the CPU time of the machine.
func TestAttacksCostOthersNothing(t *testing.T) {
	harness.RequireBPF(t)
	p := build(t)
	for _, attack := range attacks {
		t.Run(attack, func(t *testing.T) { p.check(t, attack) })
	}
	t.Run("all at once", func(t *testing.T) { p.check(t, attacks...) })
}

// check lets the victim make handshakes while the attacks run, and checks the spans that arrive.
func (p programs) check(t *testing.T, attacks ...string) {
	dir := folder(t)
	receiver := harness.Receive(t, harness.ReceiverConfig{})
	victim := harness.Copy(t, p.sample, filepath.Join(dir, fmt.Sprintf("victim-%d", os.Getpid())))
	program, begin := p.startVictim(t, victim)
	agent := harness.Start(t, harness.AgentConfig{Path: p.agent, Args: []string{"--log-level", "debug"}, Env: []string{
		"CRAU_DISCOVERY_ENABLED=true", "OTEL_EXPORTER_OTLP_ENDPOINT=" + receiver.Endpoint(),
	}})
	agent.WaitLog("file=" + victim)

	var attackers []*exec.Cmd
	for _, attack := range attacks {
		attackers = append(attackers, p.startAttack(t, attack))
	}
	time.Sleep(2 * time.Second) // the attacks reach full strength
	begin()
	if err := program.Wait(); err != nil {
		t.Errorf("victim: %v", err)
	}
	for _, a := range attackers {
		_ = syscall.Kill(-a.Process.Pid, syscall.SIGKILL)
		_ = a.Wait()
	}
	verify(t, agent, receiver, victim)
}

// verify stops the agent and checks that all of the victim's handshakes arrived whole and trusted, and that no other
// program's spans are trusted.
func verify(t *testing.T, agent *harness.TestAgent, receiver *harness.TestReceiver, victim string) {
	t.Helper()
	totals := agent.Stop()
	totals.CheckExact(t, totals["hits"])

	var ofVictim []*harness.Span
	trusted := 0
	for _, s := range receiver.Spans() {
		if s.Resource["service.name"] == filepath.Base(victim) {
			ofVictim = append(ofVictim, s)
			if s.Parent == "" && s.Attributes["crypto.library.trusted"] == true && s.Attributes["crypto.library.all_trusted"] == true &&
				s.Attributes["crypto.process.trust"] == "root" {
				trusted++
			}
		} else if s.Attributes["crypto.library.trusted"] == true || s.Attributes["crypto.library.all_trusted"] == true ||
			isAttacker(s) && s.Parent == "" && s.Attributes["crypto.process.trust"] != "user" {
			t.Errorf("a span of an attacker is trusted: %s %v", s.Name, s.Attributes)
		}
		if len(s.Repeated) > 0 {
			t.Errorf("span %s has keys more than once: %q", s.Name, s.Repeated)
		}
		if t.Failed() && len(ofVictim) == 0 {
			return
		}
	}
	harness.CheckPairs(t, filepath.Base(victim), ofVictim, handshakes)
	if trusted != 2*handshakes {
		t.Errorf("%d of the victim's trees are trusted, want %d", trusted, 2*handshakes)
	}
	verifyOwners(t, agent, receiver, harness.Totals(totals))
	t.Logf("hits %d, exported %d, lost %v, evicted trees %d", totals["hits"], totals["events.exported"],
		harness.Totals(totals).Lost(), totals["marked.evicted_trees"])
}

// verifyOwners checks that each hit lost because of a limit per owner is counted under the owner's class, and that the
// log names the attackers' user.
func verifyOwners(t *testing.T, agent *harness.TestAgent, receiver *harness.TestReceiver, totals harness.Totals) {
	t.Helper()
	values, limited := receiver.Metrics.Values(), 0
	for reason, n := range totals.Lost() {
		of := make(map[string]int)
		sum := 0
		for _, class := range []string{"root", "system", "container", "user", "unknown"} {
			of[class] = int(values[fmt.Sprintf("crau_otel.events.lost{owner.class=%s,reason=%s}", class, reason)])
			sum += of[class]
		}
		if sum != n || of["unknown"] != 0 {
			t.Errorf("lost %d for %s, by class of owner %v", n, reason, of)
		}
		if of["user"] > 0 && reason != "fault" {
			limited++
		}
	}
	if named := regexp.MustCompile(`owner="user 65534( in [^"]*)?"`).FindString(agent.Log()); limited > 0 && named == "" {
		t.Error("the log does not name the attackers' user")
	}
}

// isAttacker reports whether a span comes from an attacker, and not from another program on this host.
func isAttacker(s *harness.Span) bool {
	service, _ := s.Resource["service.name"].(string)
	return strings.HasPrefix(service, "attack-") || strings.HasPrefix(service, "deceive-")
}

// startVictim starts the sample program as a system service, which waits until begin is called.
func (p programs) startVictim(t *testing.T, path string) (program *exec.Cmd, begin func()) {
	t.Helper()
	program = exec.Command(path, "--wait", "--count", strconv.Itoa(handshakes), "--rate", strconv.Itoa(perSecond))
	stdin, err := program.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := program.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	enter(t, program, harness.Cgroup(t, "/system.slice/"+filepath.Base(path)+".service"))
	harness.StartProgram(t, program)
	out := bufio.NewScanner(stdout)
	if !out.Scan() {
		t.Fatal("the victim does not wait")
	}
	return program, func() {
		t.Helper()
		if _, err := stdin.Write([]byte("\n")); err != nil {
			t.Fatal(err)
		}
	}
}

// startAttack starts an attack as nobody, from a file that nobody owns, in a separate process group and cgroup.
func (p programs) startAttack(t *testing.T, mode string) *exec.Cmd {
	t.Helper()
	return harness.StartProgram(t, asNobody(t, session(t, mode), p.attack, mode))
}

// session makes a cgroup for a session of nobody.
func session(t *testing.T, name string) string {
	t.Helper()
	return harness.Cgroup(t, "/user.slice/user-65534.slice/session-"+name+".scope")
}

// asNobody returns a command that runs a copy of a program as nobody, from a file that nobody owns, in a separate
// process group and cgroup.
func asNobody(t *testing.T, cgroup, program string, args ...string) *exec.Cmd {
	t.Helper()
	dir := folder(t)
	path := harness.Copy(t, program, filepath.Join(dir, filepath.Base(program)+"-"+args[0]))
	for _, owned := range []string{dir, path} {
		if err := os.Chown(owned, nobody, nobody); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(path, args...)
	enter(t, cmd, cgroup)
	cmd.SysProcAttr.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
	cmd.SysProcAttr.Setpgid = true
	t.Cleanup(func() {
		if cmd.Process != nil {
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		}
	})
	return cmd
}

// enter makes a command start in a cgroup.
func enter(t *testing.T, cmd *exec.Cmd, cgroup string) {
	t.Helper()
	folder, err := os.Open(cgroup)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = folder.Close() })
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(folder.Fd())}
}
