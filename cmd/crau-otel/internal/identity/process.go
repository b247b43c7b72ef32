// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"os"
	"os/user"
	"strconv"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/crau-otel/crau-otel/probes/host"
	"github.com/crau-otel/crau-otel/tracer/event"
)

// describeProcess returns the attributes of privacy.process: full. They come from the kernel's record and, while the
// process still executes the same program, from /proc. owner is the owner of the process.
func describeProcess(helpers *host.Helpers, pid uint32, p event.Process, owner string) []attribute.KeyValue {
	userName := strconv.FormatUint(uint64(p.UID), 10)
	if u, err := user.LookupId(userName); err == nil {
		userName = u.Username
	}
	attrs := []attribute.KeyValue{semconv.ProcessPID(int(pid)), semconv.ProcessOwner(userName)}
	if !alive(pid, p) {
		return attrs
	}
	process := host.Process(pid)
	path, err := os.Readlink(process.Path("exe"))
	if err != nil || !strings.HasSuffix(strings.TrimSuffix(path, " (deleted)"), "/"+p.Executable) {
		return attrs
	}
	attrs = append(attrs, semconv.ProcessExecutablePath(path))
	var args []string
	answered := helpers.Ask(&host.Question{
		Subject: host.Subject{Process: process, Owner: owner},
		Urgent:  true,
		Ask:     func() { args, err = process.CommandLine() },
	})
	if answered == 0 || err != nil || len(args) == 0 {
		return attrs
	}
	for i, arg := range args {
		args[i] = strings.ToValidUTF8(arg, "\uFFFD")
	}
	return append(attrs, semconv.ProcessCommandArgs(args...))
}

// tick is the unit of times in /proc/PID/stat, in ns. It follows from USER_HZ, which is 100 on amd64 and arm64.
const tick = 10_000_000

// alive reports whether the recorded process is still running; another process may have its id by now.
func alive(pid uint32, p event.Process) bool {
	ticks, err := host.Process(pid).StartTime()
	return err == nil && ticks == p.StartTime/tick
}
