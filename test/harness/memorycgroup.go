// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// MemoryCgroup creates a cgroup whose processes may use limit bytes of memory, in the cgroup version (v1 or v2) that
// has the memory controller. It returns the cgroup's folder and a function that returns how many processes were killed
// because memory ran out.
func MemoryCgroup(t testing.TB, limit int) (folder string, outOfMemory func() string) {
	t.Helper()
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("crau-memory-%d", os.Getpid())
	for mount := range strings.Lines(string(mounts)) {
		before, after, _ := strings.Cut(mount, " - ")
		point, kind := strings.Fields(before)[4], strings.Fields(after)
		file, events := "memory.limit_in_bytes", "memory.oom_control"
		switch {
		case kind[0] == "cgroup" && slices.Contains(strings.Split(kind[len(kind)-1], ","), "memory"):
		case kind[0] == "cgroup2":
			file, events = "memory.max", "memory.events"
			_ = os.WriteFile(filepath.Join(point, "cgroup.subtree_control"), []byte("+memory"), 0)
		default:
			continue
		}
		folder = filepath.Join(point, name)
		if err := os.Mkdir(folder, 0o755); err != nil { //nolint:gosec // mode that systemd uses
			continue
		}
		t.Cleanup(func() { _ = os.Remove(folder) })
		if err := os.WriteFile(filepath.Join(folder, file), fmt.Append(nil, limit), 0); err != nil {
			continue // the memory controller belongs to the other cgroup version
		}
		return folder, func() string {
			text, _ := os.ReadFile(filepath.Join(folder, events))
			for line := range strings.Lines(string(text)) {
				if kill, ok := strings.CutPrefix(line, "oom_kill "); ok {
					return strings.TrimSpace(kill)
				}
			}
			return "unknown"
		}
	}
	t.Fatal("no cgroup can limit memory")
	return "", nil
}
