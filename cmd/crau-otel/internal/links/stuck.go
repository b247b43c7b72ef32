// SPDX-License-Identifier: Apache-2.0

package links

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Process is a process that runs a traced program.
type Process struct {
	PID        int
	Executable string // content of /proc/PID/comm
}

func (p Process) String() string { return fmt.Sprintf("%s (%d)", p.Executable, p.PID) }

// Stuck returns the processes with a thread that sleeps inside a BPF program at a uprobe. It returns those that it
// finds within limit, and none without CAP_SYS_ADMIN.
func Stuck(limit time.Duration) []Process {
	deadline := time.Now().Add(limit)
	var stuck []Process
	proc, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer proc.Close()
	names, _ := proc.Readdirnames(-1)
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		if time.Now().After(deadline) {
			break
		}
		stacks, _ := filepath.Glob(filepath.Join("/proc", name, "task", "*", "stack"))
		for _, path := range stacks {
			if stack, err := os.ReadFile(path); err == nil && inProgram(stack) {
				comm, _ := os.ReadFile(filepath.Join("/proc", name, "comm"))
				stuck = append(stuck, Process{pid, strings.TrimSpace(string(comm))})
				break
			}
		}
	}
	return stuck
}

// inProgram reports whether a kernel stack belongs to a thread that waits for a page inside a BPF program at a uprobe.
func inProgram(stack []byte) bool {
	return bytes.Contains(stack, []byte("uprobe_")) && bytes.Contains(stack, []byte("handle_mm_fault"))
}
