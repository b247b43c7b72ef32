// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/cilium/ebpf/features"
	"golang.org/x/sys/unix"

	"github.com/crau-otel/crau-otel/test/harness"
)

const nobody = 65534

// Numbers of capabilities from linux/capability.h.
const (
	capNetAdmin = 12
	capSysAdmin = 21
	capLease    = 28
	capPerfmon  = 38
	capBPF      = 39
)

// copies copies programs into a folder that everybody may read, and returns their paths.
func copies(t *testing.T, files ...string) []string {
	t.Helper()
	dir, err := os.MkdirTemp("", "crau-otel-e2e")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, f := range files {
		paths = append(paths, harness.Copy(t, f, filepath.Join(dir, filepath.Base(f))))
	}
	return paths
}

// asNobody returns the configuration of an agent that runs as the user nobody with only these capabilities.
func asNobody(capabilities []uintptr, path string, args ...string) harness.AgentConfig {
	return harness.AgentConfig{Path: path, Args: args, SysProcAttr: &syscall.SysProcAttr{
		Credential: &syscall.Credential{Uid: nobody, Gid: nobody}, AmbientCaps: capabilities,
	}}
}

func TestMissingCapabilitiesAreNamed(t *testing.T) {
	t.Parallel()
	paths := copies(t, agentPath, samplePath)
	for _, c := range []struct {
		has  []uintptr
		want string
	}{
		{nil, "CAP_BPF, CAP_PERFMON"},
		{[]uintptr{capBPF}, "CAP_PERFMON"},
		{[]uintptr{capPerfmon}, "CAP_BPF"},
	} {
		got := finish(t, asNobody(c.has, paths[0], "run", "--library", paths[1]).Command())
		want := regexp.MustCompile(`^crau-otel: missing capabilities: ` + c.want + `; .*root.*\n$`)
		if got.code != 1 || got.stdout != "" || !want.MatchString(got.stderr) {
			t.Errorf("with capabilities %v: exit code %d, stderr %s\nwant one line that names %s", c.has, got.code, got.stderr, c.want)
		}
	}
}

func TestProbesAndVersionNeedNoPrivileges(t *testing.T) {
	t.Parallel()
	paths := copies(t, agentPath, samplePath)
	got := finish(t, asNobody(nil, paths[0], "probes", paths[1]).Command())
	if got.code != 0 || !strings.HasPrefix(got.stdout, paths[1]+": ") {
		t.Errorf("probes: exit code %d, stderr %s", got.code, got.stderr)
	}
	if got := finish(t, asNobody(nil, paths[0], "version").Command()); got.code != 0 || !strings.HasPrefix(got.stdout, "crau-otel ") {
		t.Errorf("version: exit code %d, stderr %s", got.code, got.stderr)
	}
}

// CAP_BPF and CAP_PERFMON are enough to trace a library by uprobe_multi. Single uprobes also need CAP_SYS_ADMIN on
// kernels with long-term support, since the fix of CVE-2025-38466. Without CAP_DAC_READ_SEARCH, the only difference is
// that unreadable files are not traced.
func TestTwoCapabilitiesAreEnough(t *testing.T) {
	t.Parallel()
	harness.RequireBPF(t)
	capabilities := []uintptr{capBPF, capPerfmon}
	if features.HaveBPFLinkUprobeMulti() != nil {
		capabilities = append(capabilities, capSysAdmin)
	}
	paths := copies(t, agentPath, samplePath)
	secret := paths[1] + "-secret"
	if err := os.WriteFile(secret, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := asNobody(capabilities, paths[0], append(asJSON, "--library", secret, "--library", paths[1])...)
	a := harness.Start(t, cfg)
	out, err := exec.Command(paths[1], "--count", "2", "--rate", "0").CombinedOutput() // run by root
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	n := a.Stop()
	n.CheckExact(t, n["hits"])
	harness.CheckPairs(t, "sample", a.ConsoleSpans(), 2)
	line(t, a.Log(), "level=WARN", "file="+secret+" ", "permission denied")
	if n := strings.Count(a.Log(), "level=WARN"); n != 1 {
		t.Errorf("%d warnings, want the one of the unreadable file", n)
	}
}

// All threads of the agent are confined unless the sandbox is off. A sandboxed agent that stays root accesses files as
// the user nobody (fsuid), so it cannot use root's permissions as the owner of files.
func TestThreadsAreConfinedUnlessTheSandboxIsOff(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		env, sandbox string
		status       map[string]string
	}{
		{"CRAU_LOG_LEVEL=info", "true", map[string]string{
			"Seccomp": "2", "NoNewPrivs": "1", "Uid": "0 0 0 65534", "Gid": "0 0 0 65534", "Groups": "",
		}},
		{"CRAU_SANDBOX=false", "false", map[string]string{"Seccomp": "0", "NoNewPrivs": "0", "Uid": "0 0 0 0", "Gid": "0 0 0 0"}},
	} {
		t.Run(c.sandbox, func(t *testing.T) {
			t.Parallel()
			sample := ownSample(t)
			a := startAgent(t, []string{c.env}, append(asJSON, "--library", sample)...)
			line(t, a.Log(), "msg=ready", "sandbox="+c.sandbox)
			checkThreads(t, a.PID(), c.status)
			hits := harness.RunSample(t, sample, "--count", "2", "--rate", "0")
			a.Stop().CheckExact(t, hits)
			harness.CheckPairs(t, "sample", a.ConsoleSpans(), 2)
			if strings.Contains(a.Log(), "level=WARN") {
				t.Errorf("warnings:\n%s", a.Log())
			}
		})
	}
}

// In a container, root has only the capabilities that the container was given. Those in docs/install.md are enough for
// the whole sandbox. With fewer, the agent logs a warning: it still accesses files as root, and the rest of the sandbox
// works.
func TestSandboxOfRootInAContainer(t *testing.T) {
	t.Parallel()
	harness.RequireBPF(t)
	if features.HaveBPFLinkUprobeMulti() != nil {
		t.Skip("takes CAP_SYS_ADMIN before Linux 6.6")
	}
	const few = "-all,+bpf,+perfmon,+net_admin,+lease,+sys_ptrace,+checkpoint_restore,+dac_read_search"
	for _, c := range []struct {
		name, capabilities, user, capability string
		warnings                             int
	}{
		{"documented", few + ",+setuid,+setgid", "0 0 0 65534", "000001c010081004", 0},
		{"fewer", few, "0 0 0 0", "000001c010081004", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			sample := ownSample(t)
			wrapper := filepath.Join(t.TempDir(), "container")
			script := fmt.Sprintf("#!/bin/sh\nexec setpriv --bounding-set %s %s \"$@\"\n", c.capabilities, agentPath)
			if err := os.WriteFile(wrapper, []byte(script), 0o755); err != nil {
				t.Fatal(err)
			}
			a := harness.Start(t, harness.AgentConfig{Path: wrapper, Args: append(asJSON, "--library", sample)})
			line(t, a.Log(), "msg=ready", "sandbox=true")
			checkThreads(t, a.PID(), map[string]string{"Seccomp": "2", "Uid": c.user, "CapPrm": c.capability})
			hits := harness.RunSample(t, sample, "--count", "2", "--rate", "0")
			a.Stop().CheckExact(t, hits)
			harness.CheckPairs(t, "sample", a.ConsoleSpans(), 2)
			if n := strings.Count(a.Log(), "level=WARN"); n != c.warnings {
				t.Errorf("%d warnings, want %d:\n%s", n, c.warnings, a.Log())
			}
			if c.warnings > 0 {
				line(t, a.Log(), "running without the whole sandbox", "CAP_SETGID, CAP_SETUID")
			}
		})
	}
}

// refusedVariable makes the test binary execute the program that the variable names, with seccomp(2) disabled and the
// same arguments.
const refusedVariable = "E2E_WITHOUT_SECCOMP"

// runRefused executes a program for which the kernel refuses seccomp(2), as the filter of a container or service may
// do.
func runRefused(program string) int {
	runtime.LockOSThread()
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}, // loads the number of the system call
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: unix.SYS_SECCOMP},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
	if err == nil {
		err = unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&prog)), 0, 0)
	}
	if err == nil {
		err = unix.Exec(program, append([]string{program}, os.Args[1:]...), os.Environ())
	}
	fmt.Fprintln(os.Stderr, err)
	return 1
}

// If the kernel refuses the sandbox, the agent runs without it and logs that.
func TestSandboxThatDoesNotLoad(t *testing.T) {
	t.Parallel()
	harness.RequireBPF(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	sample := ownSample(t)
	a := harness.Start(t, harness.AgentConfig{
		Path: self, Env: []string{refusedVariable + "=" + agentPath}, Args: append(asJSON, "--library", sample),
	})
	line(t, a.Log(), "msg=ready", "sandbox=false")
	line(t, a.Log(), "level=WARN", "running without the whole sandbox", "load seccomp filter: operation not permitted")
	hits := harness.RunSample(t, sample, "--count", "2", "--rate", "0")
	a.Stop().CheckExact(t, hits)
	harness.CheckPairs(t, "sample", a.ConsoleSpans(), 2)
	if n := strings.Count(a.Log(), "level=WARN"); n != 1 {
		t.Errorf("%d warnings:\n%s", n, a.Log())
	}
}

// checkThreads checks fields in /proc/PID/task/*/status, that is of every thread of a process.
func checkThreads(t *testing.T, pid int, want map[string]string) {
	t.Helper()
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	if err != nil || len(tasks) == 0 {
		t.Fatalf("%d threads, error %v", len(tasks), err)
	}
	for _, task := range tasks {
		status, err := os.ReadFile(task)
		if err != nil {
			continue // the thread has ended
		}
		found := make(map[string]string)
		for line := range strings.Lines(string(status)) {
			key, value, _ := strings.Cut(line, ":")
			found[key] = strings.Join(strings.Fields(value), " ")
		}
		for key, value := range want {
			if found[key] != value {
				t.Errorf("%s: %s is %q, want %q", task, key, found[key], value)
			}
		}
	}
}
