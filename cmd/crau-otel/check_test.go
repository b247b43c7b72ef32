// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/check"
	"github.com/crau-otel/crau-otel/test/harness"
)

// checkVariable is the environment variable that makes TestCheckChild run the command check; its value is the command's
// arguments.
const checkVariable = "CHECK_CHILD"

func TestCheckChild(t *testing.T) {
	args, ok := os.LookupEnv(checkVariable)
	if !ok {
		t.Skip("for TestCheck")
	}
	cmd := newCheckCommand()
	cmd.SetArgs(strings.Fields(args))
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	if err := cmd.Execute(); err != nil {
		os.Stderr.WriteString(err.Error())
		os.Exit(1)
	}
	os.Exit(0)
}

// runCheck runs the command check in a separate process, as the user in who.
func runCheck(t *testing.T, args string, who *syscall.SysProcAttr) (stdout, stderr string, code int) {
	t.Helper()
	// The test binary is executed by this link, because its path may lead through a folder that only root can enter.
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestCheckChild$")
	cmd.Env = append(os.Environ(), checkVariable+"="+args)
	cmd.SysProcAttr = who
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out.String(), errOut.String(), cmd.ProcessState.ExitCode()
}

func TestCheck(t *testing.T) {
	harness.RequireBPF(t)
	nobody := &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}

	text, stderr, code := runCheck(t, "", nil)
	if code != 0 || stderr != "" || !strings.Contains(text, "a probe was attached, hit and recorded") ||
		!strings.Contains(text, "\ncrau-otel runs here") {
		t.Errorf("root: exit code %d\n%s%s", code, text, stderr)
	}

	text, stderr, code = runCheck(t, "", nobody)
	if want := "run would not work here; missing: CAP_BPF, CAP_PERFMON, trial: load"; code != 1 || stderr != want {
		t.Errorf("nobody: exit code %d, %q", code, stderr)
	}
	for _, want := range []string{"missing   CAP_BPF ", "missing   CAP_PERFMON ", "degraded  CAP_SYS_PTRACE ", "-> run as root"} {
		if !strings.Contains(text, want) {
			t.Errorf("nobody: no %q in\n%s", want, text)
		}
	}

	text, _, code = runCheck(t, "--output json", nobody)
	var results []check.Result
	if err := json.Unmarshal([]byte(text), &results); err != nil || code != 1 || len(results) < 20 {
		t.Errorf("nobody, JSON: exit code %d, %v\n%s", code, err, text)
	}
	_, stderr, code = runCheck(t, "--output yaml", nil)
	if code != 1 || !strings.Contains(stderr, `--output: must be text or json, got "yaml"`) {
		t.Errorf("exit code %d, %q", code, stderr)
	}
}
