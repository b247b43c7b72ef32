// SPDX-License-Identifier: Apache-2.0

//go:build packages

package packages

import (
	"bufio"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/crau-otel/crau-otel/test/harness"
)

// unit returns the settings in the [Service] section of the systemd unit.
func (s system) unit(t *testing.T) map[string]string {
	t.Helper()
	f, err := os.Open(s.path + "/usr/lib/systemd/system/crau-otel.service")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	settings := make(map[string]string)
	for scanner := bufio.NewScanner(f); scanner.Scan(); {
		if key, value, ok := strings.Cut(scanner.Text(), "="); ok {
			settings[key] = value
		}
	}
	return settings
}

// runService runs the service's command with the user, capabilities, view of /proc and readiness notification that its
// unit sets. The agent must find, trace and report a program of the host.
func (s system) runService(t *testing.T) {
	t.Helper()
	unit := s.unit(t)
	var capabilities []string
	for c := range strings.FieldsSeq(unit["AmbientCapabilities"]) {
		capabilities = append(capabilities, "+"+strings.ToLower(strings.TrimPrefix(c, "CAP_")))
	}
	set := strings.Join(capabilities, ",")
	args := []string{
		s.path, "setpriv", "--reuid", unit["User"], "--regid", unit["Group"], "--clear-groups",
		"--inh-caps", "-all," + set, "--ambient-caps", "-all," + set, "--bounding-set", "-all," + set, "--no-new-privs",
	}
	args = append(args, strings.Fields(unit["ExecStart"])...)

	proc := filepath.Join(s.path, "proc")
	if err := syscall.Mount("proc", proc, "proc", 0, "hidepid="+unit["ProtectProc"]); err != nil {
		t.Fatalf("ProtectProc=%s: %v", unit["ProtectProc"], err)
	}
	defer func() {
		if err := syscall.Unmount(proc, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	}()

	socket := "/run/notify"
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: s.path + socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	if err := os.Chmod(s.path+socket, 0o666); err != nil {
		t.Fatal(err)
	}
	receiver := harness.Receive(t, harness.ReceiverConfig{})
	cmd := exec.Command("chroot", args...)
	cmd.Env = []string{
		"PATH=/usr/bin:/bin", "NOTIFY_SOCKET=" + socket, "OTEL_EXPORTER_OTLP_ENDPOINT=" + receiver.Endpoint(),
		"WATCHDOG_USEC=" + strconv.Itoa(10_000_000),
	}
	var log strings.Builder
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	defer func() { _ = cmd.Process.Kill() }()

	expect := func(state string) {
		t.Helper()
		_ = manager.SetReadDeadline(time.Now().Add(60 * time.Second))
		for buffer := make([]byte, 256); ; {
			n, err := manager.Read(buffer)
			if err != nil {
				t.Fatalf("no state %s: %v\n%s", state, err, &log)
			}
			if strings.HasPrefix(string(buffer[:n]), state) {
				return
			}
		}
	}
	expect("READY=1")
	expect("WATCHDOG=1")
	status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(cmd.Process.Pid), "status"))
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`\nNoNewPrivs:\t1\n`).Match(status) || regexp.MustCompile(`\nUid:\t0\t`).Match(status) {
		t.Errorf("the service runs as\n%s", status)
	}

	sample := harness.Sample(t, root)
	run(t, nil, sample, "--rate", "10", "--count", "20")
	reported := func(span *harness.Span) bool { return span.Resource["service.name"] == filepath.Base(sample) }
	for deadline := time.Now().Add(20 * time.Second); !slices.ContainsFunc(receiver.Spans(), reported); {
		if time.Now().After(deadline) {
			t.Fatalf("%d spans, none of them of %s\n%s", len(receiver.Spans()), sample, &log)
		}
		time.Sleep(50 * time.Millisecond)
	}

	_ = cmd.Process.Signal(syscall.SIGHUP)
	expect("RELOADING=1")
	expect("READY=1")
	_ = cmd.Process.Signal(syscall.SIGTERM)
	expect("STOPPING=1")
	select {
	case err := <-ended:
		if err != nil || !strings.Contains(log.String(), "msg=totals ") {
			t.Errorf("the service ended with %v\n%s", err, &log)
		}
	case <-time.After(30 * time.Second):
		t.Fatalf("the service does not end\n%s", &log)
	}
}

// TestUnitIsConfined checks that the exposure level that systemd computes for the unit does not exceed the limit in
// docs/install.md.
func TestUnitIsConfined(t *testing.T) {
	out := run(t, nil, "systemd-analyze", "security", "--offline=yes", "--threshold=22", "--no-pager",
		filepath.Join(root, "packaging/crau-otel.service"))
	t.Log(out[strings.LastIndex(strings.TrimSpace(out), "\n")+1:])
}

// TestUnitAllowsWhatTheAgentCalls evaluates the unit's SystemCallFilter lines as systemd does: in order, where a line
// with ~ removes system calls that earlier lines have added.
func TestUnitAllowsWhatTheAgentCalls(t *testing.T) {
	groups := make(map[string][]string)
	group := ""
	for line := range strings.Lines(run(t, nil, "systemd-analyze", "syscall-filter", "--no-pager")) {
		switch name := strings.TrimSpace(line); {
		case strings.HasPrefix(line, "@"):
			group = name
		case name != "" && !strings.HasPrefix(name, "#"):
			groups[group] = append(groups[group], name)
		}
	}
	unit, err := os.ReadFile(filepath.Join(root, "packaging/crau-otel.service"))
	if err != nil {
		t.Fatal(err)
	}
	allowed := make(map[string]bool)
	var set func(name string, to bool)
	set = func(name string, to bool) {
		if !strings.HasPrefix(name, "@") {
			allowed[name] = to
		}
		for _, member := range groups[name] {
			set(member, to)
		}
	}
	for line := range strings.Lines(string(unit)) {
		if names, ok := strings.CutPrefix(line, "SystemCallFilter="); ok {
			names, denied := strings.CutPrefix(names, "~")
			for name := range strings.FieldsSeq(names) {
				set(name, !denied)
			}
		}
	}
	for _, call := range []string{
		"bpf", "seccomp", "prctl", "process_vm_readv", "name_to_handle_at", "open_by_handle_at", "setpriority", "ioprio_set",
		"prlimit64", "fcntl", "statx", "mmap", "epoll_pwait", "socket", "connect", "unlinkat", "tgkill",
	} {
		if !allowed[call] {
			t.Errorf("the unit refuses %s", call)
		}
	}
	for _, call := range []string{"ptrace", "mount", "init_module", "perf_event_open", "setuid", "chown"} {
		if allowed[call] {
			t.Errorf("the unit allows %s", call)
		}
	}
}
