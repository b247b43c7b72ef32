// SPDX-License-Identifier: Apache-2.0

//go:build vm

// Package vm runs the tests of test/e2e on another kernel than this machine's.
package vm

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// run runs a command, shows what it prints on standard error, and returns what it prints on standard output.
func run(t *testing.T, env []string, name string, args ...string) string {
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

// inGuest are the tests whose outcome depends on the kernel. Those of the command line do not, and what is a flood
// elsewhere is none on an emulated processor.
const inGuest = "TestAllStyles|TestConcurrent|TestArray|TestLong|TestBytes|TestUntouched|TestNonsense|TestDeep|" +
	"TestFloodIsAccounted|TestProcessRate|TestScopes|TestProcessIsPrivate|TestLibraryThatReported|TestMetrics|TestFinished|" +
	"TestTotals|TestTwoPrograms|TestDenied"

// TestDebian12 covers what kernel 6.1 lacks: uprobe_multi, bpf_copy_from_user_str and an easy-going verifier.
func TestDebian12(t *testing.T) {
	cache := os.Getenv("VM_CACHE")
	if cache == "" {
		t.Fatal("VM_CACHE, the folder for kernels, is not set: make test-vm sets it")
	}
	kernel := run(t, nil, "./kernel.sh", "6.1", cache)
	dir := t.TempDir()
	agent, tests, sample := filepath.Join(dir, "crau-otel"), filepath.Join(dir, "e2e.test"), filepath.Join(dir, "sample-static")
	static := []string{"CGO_ENABLED=0"}
	run(t, static, "go", "build", "-o", agent, "../../cmd/crau-otel")
	run(t, static, "go", "test", "-c", "-o", tests, "../e2e")
	run(t, nil, "make", "-s", "-C", "../../examples/sample", "BIN="+dir, sample)

	cmd := exec.Command("./vm.sh", "--kernel", kernel, "--memory", "1024", "--cpus", "2", "--timeout", "900",
		"--file", agent+":/bin/crau-otel", "--file", sample+":/bin/sample", "--file", tests+":/bin/e2e.test",
		"--env", "E2E_AGENT=/bin/crau-otel", "--env", "E2E_SAMPLE=/bin/sample", "--env", "CI=true",
		"--", "/bin/e2e.test", "-test.v", "-test.timeout=14m", "-test.run="+inGuest)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
}
