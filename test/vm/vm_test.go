// SPDX-License-Identifier: Apache-2.0

//go:build vm

package vm

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// dependOnKernel is a pattern of the tests in test/e2e whose outcome depends on the kernel.
const dependOnKernel = wholeTrees + "|TestConcurrent|TestNonsense|TestDeep|TestFloodIsAccounted|TestProcessRate|TestScopes|" +
	"TestProcessIsPrivate|TestDenied|TestStalled"

// wholeTrees is a pattern of tests which check that all probes arrive with all their arguments. It is used on emulated
// processors that would take too long for all tests of dependOnKernel.
const wholeTrees = "TestAllStyles|TestArray|TestLong|TestBytes|TestUntouched|TestTwoPrograms|TestWireShowsBothSidesOfHandshakes"

// preempted is a pattern of the test for kernels that preempt a BPF program while it runs.
const preempted = "TestPreempted"

// everywhere is a pattern of tests that pass on every kernel that can run crau-otel. It is appended to another pattern.
const everywhere = "|TestExecOfAProgram"

// machine is one line of the matrix: a virtual machine and the tests to run in it.
type machine struct {
	suite string // Debian suite whose kernel the machine runs
	arch  string
	// tests is a pattern of tests in test/e2e. An empty pattern means that the kernel is too old: crau-otel must refuse
	// to run and name the reason.
	tests   string
	seconds int    // time limit
	preempt string // value of the kernel parameter preempt; "" for the kernel's default
	why     string
}

var matrix = []machine{
	{suite: "bullseye", arch: "amd64", seconds: 180, why: "5.10: the oldest kernel that Debian still ships has no attach cookies"},
	{
		suite: "bookworm", arch: "amd64", tests: dependOnKernel, seconds: 900,
		why: "6.1: no uprobe_multi, no bpf_copy_from_user_str, a strict verifier",
	},
	{suite: "trixie", arch: "amd64", tests: wholeTrees, seconds: 300, why: "6.12: uprobe_multi"},
	{
		suite: "trixie", arch: "amd64", tests: preempted, preempt: "full", seconds: 300,
		why: "6.12 that preempts programs in the middle of a run",
	},
	{
		suite: "sid", arch: "amd64", tests: wholeTrees + "|TestStalled|" + preempted, preempt: "full", seconds: 400,
		why: "the newest: programs have stacks that all tasks on a CPU share, and are preempted in the middle of a run",
	},
	{suite: "bookworm", arch: "arm64", tests: wholeTrees, seconds: 420, why: "6.1 on arm64: single uprobes"},
	{suite: "trixie", arch: "arm64", tests: wholeTrees, seconds: 420, why: "6.12 on arm64: uprobe_multi"},
}

// name returns the name of the machine's subtest.
func (m machine) name() string {
	name := m.suite + " " + m.arch
	if m.preempt != "" {
		name += " preempt=" + m.preempt
	}
	return name
}

func TestTreesOnEveryKernel(t *testing.T) {
	cache := os.Getenv("VM_CACHE")
	if cache == "" {
		t.Fatal("VM_CACHE, the folder for kernels, is not set: make test-vm sets it")
	}
	dir := t.TempDir() // outlives each subtest, because machines of one architecture share programs
	programs := make(map[string][]string)
	for _, m := range matrix {
		t.Run(m.name(), func(t *testing.T) {
			t.Log(m.why)
			if programs[m.arch] == nil {
				programs[m.arch] = build(t, m.arch, filepath.Join(dir, m.arch))
			}
			kernel := output(t, nil, "./kernel.sh", m.arch, m.suite, cache)
			t.Log(filepath.Base(kernel))
			args := []string{
				"--kernel", kernel, "--arch", m.arch, "--memory", "1024", "--cpus", "2",
				"--timeout", fmt.Sprint(m.seconds),
			}
			if m.preempt != "" {
				args = append(args, "--append", "preempt="+m.preempt, "--env", "E2E_PREEMPT="+m.preempt)
			}
			for _, program := range programs[m.arch] {
				args = append(args, "--file", program+":/bin/"+filepath.Base(program))
			}
			if m.tests == "" {
				refuses(t, append(args, "--", "/bin/crau-otel", "run", "--library", "/bin/sample-static", "--exporter", "none"))
				return
			}
			run(t, append(args, "--env", "E2E_AGENT=/bin/crau-otel", "--env", "E2E_SAMPLE=/bin/sample-static", "--env", "CI=true",
				"--", "/bin/e2e.test", "-test.v", "-test.short", "-test.parallel=1", "-test.timeout="+fmt.Sprint(m.seconds)+"s",
				"-test.run="+m.tests+everywhere))
		})
	}
}

// refuses runs a command in a machine whose kernel is too old. The command must fail and name the oldest kernel that
// works.
func refuses(t *testing.T, args []string) {
	t.Helper()
	out, err := exec.Command("./vm.sh", args...).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "5.15") {
		t.Errorf("%v: want a refusal that names the oldest kernel that works:\n%s", err, out)
	}
	t.Logf("%s", out)
}

func run(t *testing.T, args []string) {
	t.Helper()
	cmd := exec.Command("./vm.sh", args...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
}

// build builds the agent, the tests and the sample program for an architecture and returns their paths.
func build(t *testing.T, arch, dir string) []string {
	t.Helper()
	agent, tests, sample := filepath.Join(dir, "crau-otel"), filepath.Join(dir, "e2e.test"), filepath.Join(dir, "sample-static")
	env := []string{"CGO_ENABLED=0", "GOARCH=" + arch}
	if arch == "arm64" {
		env = append(env, "CC=aarch64-linux-gnu-gcc")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	output(t, env, "go", "build", "-o", agent, "../../cmd/crau-otel")
	output(t, env, "go", "test", "-c", "-o", tests, "../e2e")
	output(t, env, "make", "-s", "-C", "../../examples/sample", "BIN="+dir, sample)
	return []string{agent, tests, sample}
}

// output runs a command and returns its standard output without surrounding white space.
func output(t *testing.T, env []string, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}
