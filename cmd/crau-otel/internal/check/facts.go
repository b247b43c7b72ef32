// SPDX-License-Identifier: Apache-2.0

package check

import (
	"errors"
	"os"
	"regexp"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/features"
	"golang.org/x/sys/unix"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/privileges"
)

// Facts describes this host and this process.
type Facts struct {
	Release  string // kernel release
	Version  Version
	BTF      error  // error of opening the kernel's type information; nil if it is readable
	Lockdown string // none, integrity or confidentiality; "" if lockdown is not built in or securityfs is not mounted

	HostUsers bool           // this process is in the host's user namespace
	HostPIDs  bool           // this process is in the host's PID namespace
	Held      privileges.Set // effective capabilities

	// Errors of probing for BPF features: nil if the kernel has the feature, [ebpf.ErrNotSupported] if it lacks it,
	// another error if that could not be determined.
	Programs, Ring, Tracepoints, Cookies, Multi error

	// Load and Attach are the errors of a trial. Load: loading crau-otel's BPF programs failed. Attach: the probe
	// program could not be attached to a function of this process, or a call of that function was not recorded.
	Load, Attach error
	// Wire is the error of attaching the programs that read handshakes from connections; nil if that works.
	Wire error
	// Watch is the error of making the kernel report processes that execute programs or map libraries; nil if that works.
	Watch error

	Paranoid     string // value of the sysctl kernel.perf_event_paranoid
	Unprivileged string // value of the sysctl kernel.unprivileged_bpf_disabled
	Tracefs      bool   // tracefs is mounted
	Cgroup       int    // newest version of cgroups that is mounted; 0 if none is
}

// Version is a kernel's major and minor version.
type Version struct{ Major, Minor int }

// Less reports whether v is before o.
func (v Version) Less(o Version) bool {
	return v.Major < o.Major || v.Major == o.Major && v.Minor < o.Minor
}

// code returns v in the encoding of KERNEL_VERSION in linux/version.h.
func (v Version) code() uint32 { return uint32(v.Major)<<16 | uint32(v.Minor)<<8 }

// Targets of the links in /proc/PID/ns for a process in the initial namespaces. The inode numbers are constants in the
// kernel's linux/proc_ns.h.
const (
	firstUsers = "user:[4026531837]"
	firstPIDs  = "pid:[4026531836]"
)

// HostPIDs reports whether this process is in the host's PID namespace.
func HostPIDs() bool { return isLink("/proc/self/ns/pid", firstPIDs) }

// Gather collects the facts about this host. It briefly loads crau-otel's programs, and attaches the one for probes to
// a function of this process.
func Gather() (Facts, error) {
	var f Facts
	var err error
	if f.Release, f.Version, err = kernel(); err != nil {
		return f, err
	}
	if f.Held, err = privileges.Held(); err != nil {
		return f, err
	}
	f.BTF = readable("/sys/kernel/btf/vmlinux")
	f.Lockdown = lockdown()
	f.HostUsers, f.HostPIDs = isLink("/proc/self/ns/user", firstUsers), HostPIDs()
	f.Paranoid, f.Unprivileged = sysctl("kernel/perf_event_paranoid"), sysctl("kernel/unprivileged_bpf_disabled")
	f.Tracefs, f.Cgroup = mounts()

	f.Programs = features.HaveProgramType(ebpf.Kprobe)
	f.Ring = features.HaveMapType(ebpf.RingBuf)
	f.Tracepoints = features.HaveProgramType(ebpf.RawTracepoint)
	f.Cookies = features.HaveProgramHelper(ebpf.Kprobe, asm.FnGetAttachCookie)
	f.Multi = features.HaveBPFLinkUprobeMulti()
	f.Load, f.Attach, f.Wire = try()
	f.Watch = tryWatch()
	return f, nil
}

var releaseStart = regexp.MustCompile(`^(\d+)\.(\d+)`)

func kernel() (release string, v Version, err error) {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return "", v, os.NewSyscallError("uname", err)
	}
	release = unix.ByteSliceToString(name.Release[:])
	m := releaseStart.FindStringSubmatch(release)
	if m == nil {
		return release, v, errors.New("kernel release " + release + ": not a version")
	}
	v.Major, _ = strconv.Atoi(m[1])
	v.Minor, _ = strconv.Atoi(m[2])
	return release, v, nil
}

func readable(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return f.Close()
}

var lockdownMode = regexp.MustCompile(`\[(\w+)\]`)

func lockdown() string {
	text, _ := os.ReadFile("/sys/kernel/security/lockdown")
	if m := lockdownMode.FindSubmatch(text); m != nil {
		return string(m[1])
	}
	return ""
}

func isLink(path, target string) bool {
	got, err := os.Readlink(path)
	return err == nil && got == target
}

func sysctl(name string) string {
	text, _ := os.ReadFile("/proc/sys/" + name)
	return strings.TrimSpace(string(text))
}

func mounts() (tracefs bool, cgroup int) {
	text, _ := os.ReadFile("/proc/self/mounts")
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) < 3 {
			continue
		}
		switch fields[2] {
		case "tracefs":
			tracefs = true
		case "cgroup":
			cgroup = max(cgroup, 1)
		case "cgroup2":
			cgroup = 2
		}
	}
	return tracefs, cgroup
}
