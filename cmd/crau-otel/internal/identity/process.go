// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"bytes"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/crau-otel/crau-otel/tracer/event"
)

// maxCommandLine bounds what is read of a process's arguments, in bytes.
const maxCommandLine = 4096

// describeProcess returns what privacy.process: full tells of a process: the kernel's record, and what /proc says if
// the process still runs the same program.
func describeProcess(pid uint32, p event.Process) []attribute.KeyValue {
	owner := strconv.FormatUint(uint64(p.UID), 10)
	if u, err := user.LookupId(owner); err == nil {
		owner = u.Username
	}
	attrs := []attribute.KeyValue{semconv.ProcessPID(int(pid)), semconv.ProcessOwner(owner)}
	if !alive(pid, p) {
		return attrs
	}
	proc := fmt.Sprintf("/proc/%d/", pid)
	path, err := os.Readlink(proc + "exe")
	if err != nil || !strings.HasSuffix(strings.TrimSuffix(path, " (deleted)"), "/"+p.Executable) {
		return attrs
	}
	attrs = append(attrs, semconv.ProcessExecutablePath(path))
	f, err := os.Open(proc + "cmdline")
	if err != nil {
		return attrs
	}
	defer f.Close()
	line := make([]byte, maxCommandLine)
	n, _ := f.Read(line)
	if n == 0 {
		return attrs
	}
	var args []string
	for arg := range bytes.SplitSeq(bytes.TrimSuffix(line[:n], []byte{0}), []byte{0}) {
		args = append(args, strings.ToValidUTF8(string(arg), "\uFFFD"))
	}
	return append(attrs, semconv.ProcessCommandArgs(args...))
}

// tick is the unit of times in /proc/PID/stat, in ns: USER_HZ is 100 on amd64 and arm64.
const tick = 10_000_000

// alive reports whether the process that the kernel recorded has not ended: no other has its number by now.
func alive(pid uint32, p event.Process) bool {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	// The second field is the name, which may have spaces and parentheses; the start is the 22nd: proc_pid_stat(5).
	fields := bytes.Fields(data[bytes.LastIndexByte(data, ')')+1:])
	const start = 22 - 3
	if len(fields) <= start {
		return false
	}
	ticks, err := strconv.ParseUint(string(fields[start]), 10, 64)
	return err == nil && ticks == p.StartTime/tick
}
