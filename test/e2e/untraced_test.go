// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cilium/ebpf/features"

	"github.com/crau-otel/crau-otel/test/harness"
)

// listing is what the command probes prints about one file with --output json.
type listing struct {
	Path     string `json:"path"`
	Count    int    `json:"process_count"`
	Attached *bool  `json:"attached"`
	Reason   string `json:"reason"`
	Untraced string `json:"untraced"`
}

// listings runs the command probes and returns its output by path.
func listings(t *testing.T, cfg harness.AgentConfig) map[string]listing {
	t.Helper()
	cfg.Args = append([]string{"probes", "--output", "json"}, cfg.Args...)
	got := finish(t, cfg.Command())
	var files []listing
	if err := json.Unmarshal([]byte(got.stdout), &files); err != nil || got.code != 0 {
		t.Fatalf("exit code %d, %v: %s%s", got.code, err, got.stdout, got.stderr)
	}
	byPath := make(map[string]listing)
	for _, f := range files {
		byPath[f.Path] = f
	}
	return byPath
}

// If the agent may not read a program, it does not know whether the program has probes. Such a program is logged,
// listed and counted.
func TestUnreadableFilesAreNamed(t *testing.T) {
	t.Parallel()
	harness.RequireBPF(t)
	const capPtrace, capCheckpointRestore = 19, 40
	capabilities := []uintptr{capBPF, capPerfmon, capPtrace, capCheckpointRestore} // all but CAP_DAC_READ_SEARCH
	if features.HaveBPFLinkUprobeMulti() != nil {
		capabilities = append(capabilities, capSysAdmin)
	}
	paths := copies(t, agentPath, samplePath)
	secret := harness.Copy(t, samplePath, filepath.Join(filepath.Dir(paths[1]), unique(t, "secret")))
	if err := os.Chmod(secret, 0o711); err != nil {
		t.Fatal(err)
	}
	program := startWaiting(t, secret)
	cfg := asNobody(capabilities, paths[0], append(asJSON, "--library", paths[1])...)
	cfg.Env = []string{"CRAU_DISCOVERY_ENABLED=true"}
	a := harness.Start(t, cfg)
	harness.RunSample(t, paths[1], "--count", "1", "--rate", "0")
	a.Stop()
	line(t, a.Log(), "level=WARN", "file with probes is not traced", "file="+secret, "reason=unreadable", "permission denied")

	got := listings(t, asNobody(capabilities, paths[0]))[secret]
	if got.Attached == nil || *got.Attached || got.Untraced != "unreadable" || got.Reason != "unreadable: permission denied" || got.Count != 1 {
		t.Errorf("process %d: listed as %+v", program.Process.Pid, got)
	}
}

// Files that the configuration excludes are listed with the key that excludes them. The test is not parallel, because
// agents with discovery of other tests would attach them.
func TestProbesListsWhatAConfigurationExcludes(t *testing.T) {
	dir := t.TempDir()
	file := func(name string) string {
		path := harness.Copy(t, samplePath, filepath.Join(dir, unique(t, name)))
		startWaiting(t, path)
		return path
	}
	plain, denied, ignored := file("plain"), file("denied"), file("ignored")
	config := func(discovery string) string {
		path := filepath.Join(t.TempDir(), "crau.yaml")
		if err := os.WriteFile(path, []byte("discovery: {"+discovery+"}\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	const deniedReason, processReason = "denied: denied by discovery.deny",
		"denied: denied to all its processes by discovery.deny_executables or discovery.deny_cgroups"
	const plainReason = "no crau-otel that runs has it"
	for _, c := range []struct {
		discovery string
		want      map[string]string
	}{
		{"enabled: true", map[string]string{plain: plainReason, denied: plainReason, ignored: plainReason}},
		{
			fmt.Sprintf("enabled: true, deny: [%s], deny_executables: [%s]", denied, ignored),
			map[string]string{plain: plainReason, denied: deniedReason, ignored: processReason},
		},
		{
			fmt.Sprintf("enabled: true, allow: [%s]", denied),
			map[string]string{plain: "denied: not allowed by discovery.allow", denied: plainReason},
		},
		{"enabled: false", map[string]string{plain: "denied: discovery.enabled is false"}},
	} {
		enabled := "CRAU_DISCOVERY_ENABLED=" + fmt.Sprint(!strings.Contains(c.discovery, "false")) // by default false in tests
		list := listings(t, harness.AgentConfig{
			Path: agentPath, Args: []string{"--config", config(c.discovery)}, Env: []string{enabled},
		})
		for path, reason := range c.want {
			got := list[path]
			if got.Attached == nil || *got.Attached || !strings.HasPrefix(got.Reason, reason) || got.Count != 1 {
				t.Errorf("%s: %s is listed as %+v, want %s", c.discovery, path, got, reason)
			}
		}
	}
}
