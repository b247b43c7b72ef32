// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/crau-otel/crau-otel/test/harness"
)

// If the variable dialVariable is set, the test binary opens a TLS connection to the address in it and ends. If its
// value is dialChild, the test binary instead serves one connection, to which it connects from a child process.
const (
	dialVariable = "E2E_DIAL"
	dialChild    = "child"
)

func dial(address string) int {
	if address == dialChild {
		return serveChild()
	}
	c, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	_ = c.Close()
	return 0
}

// serveChild starts a TLS server, runs this program as a child that connects to the server, and ends.
func serveChild() int {
	srv := httptest.NewTLSServer(http.NotFoundHandler())
	defer srv.Close()
	child := exec.Command("/proc/self/exe")
	child.Env = append(os.Environ(), dialVariable+"="+srv.Listener.Addr().String())
	if out, err := child.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%v\n%s", err, out)
		return 1
	}
	return 0
}

// tlsServer starts a TLS server and returns its address.
func tlsServer(t *testing.T) string {
	t.Helper()
	srv := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(srv.Close)
	return srv.Listener.Addr().String()
}

// execCommand returns the command `crau-otel exec` with args, which are flags, -- and the command to run. Tracing of
// connections is on, and discovery is off.
func execCommand(t *testing.T, env []string, args ...string) *exec.Cmd {
	t.Helper()
	harness.RequireBPF(t)
	env = append([]string{"CRAU_WIRE_ENABLED=true"}, env...)
	return harness.AgentConfig{Path: agentPath, Env: env, Args: append([]string{"exec"}, args...)}.Command()
}

// dialer returns a copy of the test binary with the given name, so that its trees differ from those of other programs.
func dialer(t *testing.T, name string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return harness.Copy(t, self, filepath.Join(t.TempDir(), name))
}

// names counts the trees in a file of JSON spans by role and executable.
func names(t *testing.T, file string) map[string]int {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	spans, err := harness.ParseConsole(content)
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]int)
	for _, root := range harness.Trees(t, spans) {
		got[fmt.Sprint(root.Attributes["tls.role"], " ", root.Resource["process.executable.name"])]++
	}
	return got
}

func TestExecReturnsTheExitCodeOfTheCommand(t *testing.T) {
	t.Parallel()
	script := write(t, "no-interpreter", "exit 0\n")
	if err := os.Chmod(script, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		code int
		args []string
		want string // text that standard error must contain
	}{
		{0, []string{"--", "true"}, "no TLS or SSH handshake of the command was seen"},
		{0, []string{"--", "sh", "-c", "test -z $SET"}, ""},
		{7, []string{"sh", "-c", "exit 7"}, ""},
		{128 + 15, []string{"--", "sh", "-c", "kill -TERM $$"}, ""},
		{128 + 9, []string{"--", "sh", "-c", "kill -KILL $$"}, ""},
		{127, []string{"--", "no-such-command"}, "crau-otel: execute no-such-command: executable file not found in $PATH\n"},
		{127, []string{"--", "/no/such/command"}, "crau-otel: execute /no/such/command: no such file or directory\n"},
		{126, []string{"--", "/etc/passwd"}, "crau-otel: execute /etc/passwd: permission denied\n"},
		{126, []string{"--", script}, "exec format error\n"},
		{125, nil, "crau-otel: exec: no command given\n"},
		{125, []string{"--no-such-flag", "--", "true"}, "crau-otel: exec: unknown flag: --no-such-flag\n"},
		{125, []string{"--exporter", "paper", "--", "touch", script + ".ran"}, "crau-otel: --exporter: "},
		{125, []string{"--user", "nobody", "--", "true"}, "crau-otel: exec: unknown flag: --user\n"},
	} {
		got := finish(t, execCommand(t, nil, c.args...))
		if got.code != c.code || got.stdout != "" || !strings.Contains(got.stderr, c.want) {
			t.Errorf("%q: exit code %d, want %d; stderr %q", c.args, got.code, c.code, got.stderr)
		}
	}
	if _, err := os.Stat(script + ".ran"); err == nil {
		t.Error("a command ran although the configuration is invalid")
	}
}

// The output of exec shows the handshakes of the command, of its children, and of daemons that it leaves behind. It
// shows each of them once, from the first one on, and no handshakes of other programs.
func TestExecShowsTheCommandAndItsDescendants(t *testing.T) {
	t.Parallel()
	address := tlsServer(t)
	own, other := dialer(t, "exec-own"), dialer(t, "exec-other")
	noise := exec.Command("sh", "-c", "while "+other+"; do :; done")
	noise.Env = append(os.Environ(), dialVariable+"="+address)
	noise.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := noise.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-noise.Process.Pid, syscall.SIGKILL)
		_ = noise.Wait()
	})
	for _, c := range []struct {
		what, script string
		want         int
	}{
		{"the command itself", "exec " + own, 1},
		{"a child", own + "; :", 1},
		{"many children at once", "for i in 1 2 3 4 5; do " + own + " & done; wait", 5},
		{"a daemon, forked twice and in a session of its own", "(setsid sh -c 'sleep 0.2; " + own + "' >/dev/null 2>&1 &) &", 1},
	} {
		trees := filepath.Join(t.TempDir(), "trees")
		got := finish(t, execCommand(t, []string{dialVariable + "=" + address},
			"--linger", "20s", "--tree-file", trees, "--console-format", "json", "--", "sh", "-c", c.script))
		if n := names(t, trees); got.code != 0 || got.stderr != "" || len(n) != 1 || n["client exec-own"] != c.want {
			t.Errorf("%s: exit code %d, trees %v, want %d; stderr %s", c.what, got.code, n, c.want, got.stderr)
		}
	}
}

// The command and its child are shown. This test needs no program but the test binary, so it also runs on other
// kernels.
func TestExecOfAProgramAndItsChild(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	trees := filepath.Join(t.TempDir(), "trees")
	got := finish(t, execCommand(t, []string{dialVariable + "=" + dialChild},
		"--tree-file", trees, "--console-format", "json", "--", self))
	name := filepath.Base(self)
	if n := names(t, trees); got.code != 0 || len(n) != 2 || n["client "+name] != 1 || n["server "+name] != 1 {
		t.Errorf("exit code %d, trees %v; stderr %s", got.code, n, got.stderr)
	}
}

func TestExecExportsOverOTLP(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r := harness.Receive(t, harness.ReceiverConfig{})
	got := finish(t, execCommand(t, []string{
		dialVariable + "=" + tlsServer(t), "OTEL_EXPORTER_OTLP_ENDPOINT=" + r.Endpoint(), "OTEL_METRICS_EXPORTER=none",
	}, "--exporter", "otlp", "--", self))
	roots := harness.Trees(t, r.Spans())
	if got.code != 0 || got.stderr != "" || len(roots) != 1 || roots[0].Attributes["tls.role"] != "client" {
		t.Errorf("exit code %d, %d trees; stderr %s", got.code, len(roots), got.stderr)
	}
}

func TestExecDoesNotWaitForDaemons(t *testing.T) {
	t.Parallel()
	began := time.Now()
	got := finish(t, execCommand(t, nil, "--linger", "100ms", "--", "sh", "-c", "sleep 50 >/dev/null 2>&1 & echo $!"))
	if pid := strings.TrimSpace(got.stdout); pid != "" {
		defer func() { _ = exec.Command("kill", pid).Run() }()
	}
	if got.code != 0 || !strings.Contains(got.stderr, "1 process of the command still runs and is no longer observed") {
		t.Errorf("exit code %d, stderr %s", got.code, got.stderr)
	}
	if took := time.Since(began); took > 40*time.Second {
		t.Errorf("it took %s", took)
	}
}

func TestExecSaysWhyNothingWasSeen(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		env  []string
		want string
	}{
		{nil, "UDP, and Unix sockets are not seen\n"},
		{[]string{"CRAU_WIRE_ENABLED=false", "CRAU_LIBRARIES=" + samplePath}, "  - connections were not examined: wire.enabled is false"},
		{[]string{"CRAU_WIRE_ENABLED=false", "CRAU_LIBRARIES=" + samplePath}, "1 file with probes is attached, and the command did not use it"},
	} {
		got := finish(t, execCommand(t, c.env, "--", "true"))
		if got.code != 0 || !strings.HasPrefix(got.stderr, "crau-otel: no TLS or SSH handshake of the command was seen\n") ||
			!strings.Contains(got.stderr, c.want) {
			t.Errorf("%q: exit code %d, stderr %s", c.env, got.code, got.stderr)
		}
	}
}

// If nothing is exported, exec says so, because the user might believe that the command made no handshakes.
func TestExecSaysThatNothingIsExported(t *testing.T) {
	t.Parallel()
	sample := ownSample(t)
	got := finish(t, execCommand(t, []string{"OTEL_SDK_DISABLED=TRUE", "CRAU_LIBRARIES=" + sample, "CRAU_WIRE_ENABLED=false"},
		"--", sample, "--count", "1", "--rate", "0"))
	if got.code != 0 || got.stderr != "crau-otel: nothing is exported: OTEL_SDK_DISABLED is true\n" {
		t.Errorf("exit code %d, stderr %s", got.code, got.stderr)
	}
}

// With log.format: json, trees as JSON and a command that prints nothing, every line on standard error is JSON.
func TestExecWritesNothingButJSON(t *testing.T) {
	t.Parallel()
	sample := ownSample(t)
	env := []string{"CRAU_LIBRARIES=" + sample, "CRAU_WIRE_ENABLED=false", "CRAU_LOG_FORMAT=json", "CRAU_CONSOLE_FORMAT=json"}
	for command, want := range map[string]int{"true": 1, sample: 18} {
		got := finish(t, execCommand(t, env, "--", command, "--count", "1", "--rate", "0"))
		n := 0
		for line := range strings.Lines(got.stderr) {
			var record struct{ Msg, Name string }
			if err := json.Unmarshal([]byte(line), &record); err != nil || record.Msg+record.Name == "" {
				t.Errorf("%s: %v: %s", command, err, line)
			}
			n++
		}
		if got.code != 0 || n != want {
			t.Errorf("%s: exit code %d, %d lines, want %d:\n%s", command, got.code, n, want, got.stderr)
		}
	}
}

// exec reports only the hits of the command and its descendants, although the file is attached for all processes.
func TestExecShowsProbesOfTheCommandOnly(t *testing.T) {
	t.Parallel()
	sample := ownSample(t)
	other := exec.Command(sample, "--rate", "50", "--count", "10000")
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = other.Process.Kill()
		_ = other.Wait()
	})
	got := finish(t, execCommand(t, []string{"CRAU_WIRE_ENABLED=false"}, "--library", sample, "--", sample, "--count", "2", "--rate", "0"))
	if n := strings.Count(got.stderr, "\ntls::handshake "); got.code != 0 || n != 4 {
		t.Errorf("exit code %d, %d handshakes, want 4 of two connections:\n%s", got.code, n, got.stderr)
	}
}

// startExec starts `crau-otel exec` with a shell script as the command, and waits until the script prints a line.
func startExec(t *testing.T, script string) (*exec.Cmd, *bufio.Reader) {
	t.Helper()
	cmd := execCommand(t, nil, "--", "sh", "-c", script)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(time.Minute, func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	t.Cleanup(func() { timer.Stop() })
	out := bufio.NewReader(stdout)
	if line, err := out.ReadString('\n'); err != nil || line != "running\n" {
		t.Fatalf("the command printed %q, %v", line, err)
	}
	return cmd, out
}

func TestExecForwardsSignals(t *testing.T) {
	t.Parallel()
	for name, signal := range map[string]syscall.Signal{
		"HUP": syscall.SIGHUP, "INT": syscall.SIGINT, "QUIT": syscall.SIGQUIT, "TERM": syscall.SIGTERM,
		"USR1": syscall.SIGUSR1, "USR2": syscall.SIGUSR2,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd, out := startExec(t, "trap 'n=$((n + 1))' "+name+"; echo running; until [ $n ]; do sleep 0.05; done; sleep 0.2; exit $((40 + n))")
			_, _ = out, cmd.Process.Signal(signal)
			_ = cmd.Wait()
			if code := cmd.ProcessState.ExitCode(); code != 41 {
				t.Errorf("exit code %d, want 41: the signal once", code)
			}
		})
	}
	cmd, _ := startExec(t, "echo running; exec sleep 50")
	_ = cmd.Process.Signal(syscall.SIGTERM)
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 128+15 {
		t.Errorf("exit code %d of a command that a forwarded signal ends", code)
	}
}

// The command gets the same descriptors, limits, variables, process group and signal dispositions as without exec.
// Capabilities, seccomp filters and limits that crau-otel sets for itself do not apply to the command.
func TestExecHandsDownWhatItWasGiven(t *testing.T) {
	t.Parallel()
	file := write(t, "descriptor", "handed down\n")
	const script = `cat <&3; ulimit -n; echo "$MARK $NOTIFY_SOCKET"; cut -d' ' -f5 /proc/$$/stat; ls /proc/self/fd | wc -l;
		grep -E '^(NoNewPrivs|Seccomp|CapEff|CapBnd|SigIgn|SigBlk):' /proc/self/status`
	run := func(trap string, args ...string) string {
		in, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		cmd := exec.Command("sh", append([]string{"-c", trap + "ulimit -Sn 777; exec \"$@\"", "sh"}, append(args, "sh", "-c", script)...)...)
		cmd.ExtraFiles = []*os.File{in}
		cmd.Env = append(execCommand(t, nil).Env, "MARK=marked", "NOTIFY_SOCKET=/nowhere")
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		out, err := cmd.Output()
		if err != nil {
			t.Errorf("%q: %v\n%s", args, err, out)
		}
		return strings.ReplaceAll(string(out), fmt.Sprint(cmd.Process.Pid), "GROUP")
	}
	// In the second iteration, SIGHUP is ignored, as it is under nohup.
	for _, trap := range []string{"", "trap '' HUP; "} {
		want := run(trap, "env")
		if got := run(trap, agentPath, "exec", "--"); got != want || !strings.HasPrefix(got, "handed down\n777\nmarked /nowhere\nGROUP\n") {
			t.Errorf("under exec\n%s\nwithout\n%s", got, want)
		}
	}
}

func TestExecInPipelines(t *testing.T) {
	t.Parallel()
	harness.RequireBPF(t)
	address := tlsServer(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ pipeline, want string }{
		{`"$AGENT" exec -- yes 2>/dev/null | head -1; echo ${PIPESTATUS[0]}`, "y\n141\n"},
		{`echo one two | "$AGENT" exec -- cat 2>/dev/null | wc -w; echo ${PIPESTATUS[1]}`, "2\n0\n"},
		// When crau-otel writes the tree, its standard error is a pipe without a reader.
		{`"$AGENT" exec -- sh -c '"$SELF"; sleep 1; exit 3' 2>&1 >/dev/null | true; echo ${PIPESTATUS[0]}`, "3\n"},
	} {
		cmd := exec.Command("bash", "-c", c.pipeline)
		cmd.Env = append(execCommand(t, nil).Env, "AGENT="+agentPath, "SELF="+self, dialVariable+"="+address)
		if got := finish(t, cmd); got.stdout != c.want {
			t.Errorf("%s\nprinted %q, want %q; stderr %s", c.pipeline, got.stdout, c.want, got.stderr)
		}
	}
}

// In an interactive shell on a terminal, crau-otel and the command are interrupted, stopped and continued as one job.
func TestExecOnATerminal(t *testing.T) {
	t.Parallel()
	harness.RequireBPF(t)
	terminal := harness.OpenTerminal(t)
	shell := exec.Command("bash", "--norc", "--noediting", "-i")
	shell.Env = append(execCommand(t, nil).Env, "AGENT="+agentPath, "PS1=", "PS2=", "HISTFILE=")
	terminal.Start(t, shell)
	steps := []struct{ input, want string }{
		// Ctrl-C reaches the command exactly once: a second SIGINT would change the exit code.
		{`"$AGENT" exec -- sh -c 'trap "n=\$((n + 1))" INT; echo begin-$((1+1)); sleep 1; sleep 1; exit $((60 + n))'` + "\n", `begin-2\r`},
		{"\x03", ""},
		{`echo code-$?` + "\n", `code-61\r`},
		{`"$AGENT" exec -- sh -c 'echo begin-$((1+2)); sleep 50; exit 9'` + "\n", `begin-3\r`},
		{"\x1a", `Stopped`},
		{"fg >/dev/null; echo code-$?\n", ""},
		{"\x03", `code-130\r`},
		// The command is in the foreground process group, so it can read from the terminal.
		{`"$AGENT" exec -- sh -c 'read line; echo "read-$line"' | cat` + "\n", ""},
		{"typed\n", `read-typed\r`},
		{"exit\n", ""},
	}
	for _, s := range steps {
		terminal.Send(t, s.input)
		if s.want != "" {
			terminal.Await(t, regexp.MustCompile(s.want))
		} else {
			time.Sleep(300 * time.Millisecond)
		}
	}
	if err := shell.Wait(); err != nil {
		t.Errorf("%v\n%s", err, terminal.Output())
	}
}
