// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/cilium/ebpf/features"

	"github.com/crau-otel/crau-otel/test/harness"
)

const nobody = 65534

// The numbers of linux/capability.h.
const (
	capNetAdmin = 12
	capSysAdmin = 21
	capLease    = 28
	capPerfmon  = 38
	capBPF      = 39
)

// copies copies programs into a folder that everybody may read.
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

// asNobody configures crau-otel to run as the user nobody with these capabilities and no others.
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

// CAP_BPF and CAP_PERFMON are all it takes, save for single uprobes, which kernels of long-term support allow to
// CAP_SYS_ADMIN alone since CVE-2025-38466. Without CAP_DAC_READ_SEARCH files that are unreadable stay so, which costs those
// files alone.
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
	out, err := exec.Command(paths[1], "--count", "2", "--rate", "0").CombinedOutput() // by another user
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
