// SPDX-License-Identifier: Apache-2.0

package check

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"

	"github.com/cilium/ebpf"
	"github.com/moby/sys/capability"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/privileges"
	"github.com/crau-otel/crau-otel/tracer"
)

// Status is how well the host supports one feature that crau-otel uses.
type Status string

// The statuses.
const (
	OK       Status = "ok"
	Degraded Status = "degraded" // the command run works, with a limitation
	Missing  Status = "missing"  // the command run does not work
	Unknown  Status = "unknown"  // cannot be determined because something else is missing
)

// Result is the judgement of one feature.
type Result struct {
	Name   string `json:"name"`
	Status Status `json:"status"`
	Detail string `json:"detail"`           // what was found, and what it means
	Remedy string `json:"remedy,omitempty"` // what to do, unless the status is OK
}

var oldest = Version{5, 15} // oldest supported kernel: the first with BPF cookies for single uprobes

// Judge judges what the facts mean for the command run.
func Judge(f Facts) Report {
	r := Report{f.kernel(), f.btf(), f.lockdown(), f.users(), f.pids()}
	for _, need := range privileges.Needs() {
		if need.Use != privileges.SingleUprobes || f.single() {
			r = append(r, f.capability(need))
		}
	}
	return append(r,
		feature("BPF programs", f.Programs, "for uprobes", Missing, "a kernel with CONFIG_BPF_SYSCALL, CONFIG_UPROBE_EVENTS and CONFIG_BPF_EVENTS"),
		feature("ring buffer", f.Ring, "carries events to crau-otel", Missing, "Linux 5.8 or later"),
		feature("raw tracepoints", f.Tracepoints, "report when a process executes a program or ends", Missing, "Linux 4.17 or later"),
		feature("BPF cookies", f.Cookies, "tell the program which probe site was hit", Missing, "Linux 5.15 or later"),
		f.multi(), f.sleepable(), f.load(), f.attach(), f.wire(), f.watch(), f.paranoid(),
		Result{"unprivileged_bpf_disabled", OK, f.Unprivileged + ": irrelevant with CAP_BPF", ""},
		Result{"memlock", OK, "no limit applies: since Linux 5.11 BPF memory is charged to the control group", ""},
		f.tracefs(), f.cgroup())
}

// single reports whether probes are attached as single uprobes, because the kernel lacks uprobe_multi.
func (f *Facts) single() bool { return errors.Is(f.Multi, ebpf.ErrNotSupported) }

// works reports whether the trial of loading and attaching succeeded.
func (f *Facts) works() bool { return f.Load == nil && f.Attach == nil }

// blocking returns the status of a requirement that the host does not meet: Missing, or Degraded if the trial succeeded
// nevertheless.
func (f *Facts) blocking() Status {
	if f.works() {
		return Degraded
	}
	return Missing
}

func (f *Facts) kernel() Result {
	if f.Version.Less(oldest) {
		return Result{"kernel", f.blocking(), f.Release + " is older than 5.15", "Linux 5.15 or later"}
	}
	return Result{"kernel", OK, f.Release, ""}
}

func (f *Facts) btf() Result {
	if f.BTF != nil {
		return Result{
			"BTF", f.blocking(), text(f.BTF) + ": it describes the kernel's data structures to the BPF programs",
			"a kernel with CONFIG_DEBUG_INFO_BTF",
		}
	}
	return Result{"BTF", OK, "describes the kernel's data structures to the BPF programs", ""}
}

func (f *Facts) lockdown() Result {
	switch f.Lockdown {
	case "confidentiality":
		return Result{
			"lockdown", f.blocking(), "confidentiality: BPF programs may not read the kernel's memory",
			"boot with lockdown=integrity, which BPF programs that only read may run under",
		}
	case "integrity":
		return Result{"lockdown", OK, "integrity: programs that only read may run", ""}
	}
	return Result{"lockdown", OK, "not detected", ""}
}

func (f *Facts) users() Result {
	if !f.HostUsers {
		return Result{
			"user namespace", f.blocking(), "not the host's: capabilities do not count for BPF",
			"run in no user namespace, such as a rootless container's",
		}
	}
	return Result{"user namespace", OK, "same as the host's", ""}
}

func (f *Facts) pids() Result {
	if !f.HostPIDs {
		return Result{
			"PID namespace", Degraded, "not the host's: discovery sees the processes of this container only",
			"run in the host's: --pid=host, or hostPID: true in Kubernetes",
		}
	}
	return Result{"PID namespace", OK, "same as the host's", ""}
}

func (f *Facts) capability(n privileges.Need) Result {
	r := Result{n.Name(), OK, n.Reason, ""}
	if f.Held.Grants(n.Cap) {
		return r
	}
	switch n.Use {
	case privileges.Discovery, privileges.Wire, privileges.Overwriting:
		r.Status = Degraded
	case privileges.SingleUprobes:
		if f.works() {
			r.Detail = "not needed: this kernel lets others attach single uprobes"
			return r
		}
		r.Status = Missing
	case privileges.Always:
		r.Status = Missing
	}
	r.Detail = "not held: it " + n.Reason
	r.Remedy = "run as root or grant it: setcap(8), AmbientCapabilities=, capabilities.add"
	return r
}

func feature(name string, err error, purpose string, without Status, remedy string) Result {
	switch {
	case err == nil:
		return Result{name, OK, purpose, ""}
	case errors.Is(err, ebpf.ErrNotSupported):
		return Result{name, without, "not supported: " + purpose, remedy}
	}
	return Result{name, Unknown, text(err), "fix what is missing, then check again"}
}

func (f *Facts) multi() Result {
	r := feature("uprobe_multi", f.Multi, "attaches all sites of a file at once", Degraded, "Linux 6.6 or later")
	if f.single() {
		r.Detail = "not supported: each site needs a separate link, two file descriptors and 0.1 s to detach"
	}
	return r
}

func (f *Facts) sleepable() Result {
	if !tracer.MaySleep(f.Version.code(), !f.single()) {
		return Result{
			"sleepable uprobes", Degraded, "not used: data on pages that are not in memory is counted as lost", "Linux 6.6 or later",
		}
	}
	return Result{"sleepable uprobes", OK, "read data on pages that are not in memory", ""}
}

func (f *Facts) load() Result {
	if f.Load != nil {
		return f.failed("trial: load", f.Load)
	}
	return Result{"trial: load", OK, "crau-otel's program can be loaded", ""}
}

func (f *Facts) attach() Result {
	switch {
	case f.Load != nil:
		return Result{"trial: attach", Unknown, "nothing to attach", "fix the loading of the program first"}
	case f.Attach != nil:
		return f.failed("trial: attach", f.Attach)
	}
	return Result{"trial: attach", OK, "a probe was attached, hit and recorded", ""}
}

func (f *Facts) wire() Result {
	r := Result{"trial: wire", OK, "handshakes can be read from connections, with any library", ""}
	if f.Load != nil {
		return Result{r.Name, Unknown, "nothing to attach", "fix the loading of the program first"}
	}
	if f.Wire == nil {
		return r
	}
	r.Status = Degraded
	r.Detail = "no stock program is seen, only libraries with probes: " + text(f.Wire)
	switch {
	case errors.Is(f.Wire, tracer.ErrNoCgroups):
		r.Remedy = "mount -t cgroup2 none /sys/fs/cgroup/unified, or where the container's runtime allows it"
	case errors.Is(f.Wire, fs.ErrPermission) && !f.Held.Grants(capability.CAP_NET_ADMIN):
		r.Remedy = "grant CAP_NET_ADMIN"
	case errors.Is(f.Wire, fs.ErrPermission):
		r.Remedy = "no capability is missing: let SELinux, AppArmor or the container's seccomp profile allow bpf(2)"
	default:
		r.Remedy = "read the error; if it does not say what is missing, please report this"
	}
	return r
}

func (f *Facts) watch() Result {
	if f.Watch != nil {
		return Result{
			"trial: discovery", Degraded, "each process is examined on every pass: " + text(f.Watch),
			"read the error; if it does not name a missing capability, please report this",
		}
	}
	return Result{"trial: discovery", OK, "the kernel reports which processes execute programs or load libraries", ""}
}

// failed returns the result for the error of a trial.
func (f *Facts) failed(name string, err error) Result {
	r := Result{name, Missing, text(err), "see what else is missing; if nothing is, please report this"}
	if !errors.Is(err, fs.ErrPermission) {
		return r
	}
	r.Remedy = "fix what else is missing first"
	if f.HostUsers && privileges.Missing(f.Held, privileges.Always) == nil &&
		(!f.single() || privileges.Missing(f.Held, privileges.SingleUprobes) == nil) {
		r.Remedy = "no capability is missing: let SELinux, AppArmor or the container's seccomp profile allow bpf(2) and " +
			"perf_event_open(2)"
	}
	return r
}

func (f *Facts) paranoid() Result {
	r := Result{"perf_event_paranoid", OK, f.Paranoid + ": irrelevant with CAP_PERFMON", ""}
	switch {
	case f.Multi == nil:
		r.Detail = f.Paranoid + ": irrelevant with uprobe_multi"
	case f.Paranoid > "2":
		r.Detail = f.Paranoid + ": above 2, Debian's and Ubuntu's kernels let only CAP_SYS_ADMIN attach single uprobes"
	}
	return r
}

func (f *Facts) tracefs() Result {
	if f.Tracefs {
		return Result{"tracefs", OK, "mounted; not needed", ""}
	}
	return Result{"tracefs", OK, "not mounted; not needed", ""}
}

func (f *Facts) cgroup() Result {
	if f.Cgroup == 0 {
		return Result{"control groups", Degraded, "not mounted: containers and units are not recognised", "mount /sys/fs/cgroup"}
	}
	return Result{"control groups", OK, fmt.Sprintf("version %d", f.Cgroup), ""}
}

// text returns an error on one line. For a permission error, it returns only the innermost cause.
func text(err error) string {
	if errno := syscall.Errno(0); errors.Is(err, fs.ErrPermission) && errors.As(err, &errno) {
		return "refused: " + errno.Error()
	}
	return strings.Join(strings.Fields(err.Error()), " ")
}
