// SPDX-License-Identifier: Apache-2.0

package check

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"strings"
	"syscall"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/moby/sys/capability"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/privileges"
	"github.com/crau-otel/crau-otel/tracer"
)

// best returns the facts of a host that supports everything.
func best() Facts {
	return Facts{
		Release: "6.18.44", Version: Version{6, 18}, HostUsers: true, HostPIDs: true,
		Held: privileges.Keep(true, true, true), Paranoid: "2", Unprivileged: "2", Cgroup: 2,
	}
}

var (
	errUnsupported = fmt.Errorf("detect: %w", ebpf.ErrNotSupported)
	errRefused     = fmt.Errorf("load program: %w (MEMLOCK may be too low)", syscall.EPERM)
)

// old changes facts to those of a kernel before 6.6, which lacks uprobe_multi.
func old(f *Facts) { f.Release, f.Version, f.Multi = "6.1.0", Version{6, 1}, errUnsupported }

func TestJudge(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(f *Facts)
		want   map[string]Status // statuses of all features that are not OK
		err    string
		text   string // a part of the report for people
	}{
		"everything": {func(*Facts) {}, nil, "", "\ncrau-otel runs here\n"},
		"kernel 5.15": {
			func(f *Facts) { f.Version = Version{5, 15} },
			map[string]Status{"sleepable uprobes": Degraded},
			"",
			"is counted as lost",
		},
		"no task iterator": {
			func(f *Facts) { f.Watch = errors.New("attach task iterator: no") },
			map[string]Status{"trial: discovery": Degraded},
			"", "examined on every pass: attach task iterator: no",
		},
		"kernel 6.0": {func(f *Facts) { f.Version = Version{6, 0} }, nil, "", ""},
		"kernel 6.10 with single uprobes": {
			func(f *Facts) { f.Version, f.Multi = Version{6, 10}, errUnsupported },
			map[string]Status{"uprobe_multi": Degraded},
			"", "",
		},
		"too old a kernel": {
			func(f *Facts) {
				f.Version, f.Release, f.Cookies, f.Load = Version{5, 14}, "5.14.21", errUnsupported, errors.New("no")
			},
			map[string]Status{"kernel": Missing, "sleepable uprobes": Degraded, "BPF cookies": Missing, "trial: load": Missing, "trial: attach": Unknown, "trial: wire": Unknown},
			"kernel, BPF cookies, trial: load", "5.14.21 is older than 5.15",
		},
		"an old kernel with everything ported back": {
			func(f *Facts) { f.Version = Version{5, 14} },
			map[string]Status{"kernel": Degraded, "sleepable uprobes": Degraded},
			"", "what is degraded: 2 of 27",
		},
		"no BTF": {
			func(f *Facts) { f.BTF, f.Load = fs.ErrNotExist, errors.New("apply CO-RE relocations:\n  no BTF") },
			map[string]Status{"BTF": Missing, "trial: load": Missing, "trial: attach": Unknown, "trial: wire": Unknown},
			"BTF, trial: load", "apply CO-RE relocations: no BTF",
		},
		"integrity": {func(f *Facts) { f.Lockdown = "integrity" }, nil, "", "programs that only read may run"},
		"confidentiality": {
			func(f *Facts) {
				f.Lockdown, f.Load = "confidentiality", errors.New("unknown func bpf_probe_read_kernel")
			},
			map[string]Status{"lockdown": Missing, "trial: load": Missing, "trial: attach": Unknown, "trial: wire": Unknown},
			"lockdown, trial: load", "lockdown=integrity",
		},
		"rootless container": {
			func(f *Facts) { f.HostUsers, f.HostPIDs, f.Programs, f.Load = false, false, errRefused, errRefused },
			map[string]Status{
				"user namespace": Missing, "PID namespace": Degraded, "BPF programs": Unknown, "trial: load": Missing, "trial: attach": Unknown, "trial: wire": Unknown,
			},
			"user namespace, trial: load", "hostPID",
		},
		"no capabilities": {
			func(f *Facts) {
				f.Held, f.Programs, f.Ring, f.Tracepoints, f.Cookies, f.Multi, f.Load = 0, errRefused, errRefused, errRefused, errRefused, errRefused, errRefused
			},
			map[string]Status{
				"CAP_BPF": Missing, "CAP_PERFMON": Missing, "CAP_SYS_PTRACE": Degraded, "CAP_DAC_READ_SEARCH": Degraded,
				"CAP_NET_ADMIN": Degraded, "CAP_LEASE": Degraded, "CAP_CHECKPOINT_RESTORE": Degraded, "BPF programs": Unknown, "ring buffer": Unknown, "raw tracepoints": Unknown,
				"BPF cookies": Unknown, "uprobe_multi": Unknown, "trial: load": Missing, "trial: attach": Unknown, "trial: wire": Unknown,
			},
			"CAP_BPF, CAP_PERFMON, trial: load", "-> fix what else is missing first\n",
		},
		"no wire": {
			func(f *Facts) { f.Held, f.Wire = privileges.Keep(true, true, false), errRefused },
			map[string]Status{"CAP_NET_ADMIN": Degraded, "trial: wire": Degraded},
			"", "-> grant CAP_NET_ADMIN",
		},
		"no version 2 hierarchy": {
			func(f *Facts) { f.Wire = tracer.ErrNoCgroups },
			map[string]Status{"trial: wire": Degraded},
			"", "-> mount -t cgroup2 none /sys/fs/cgroup/unified",
		},
		"wire refused in spite of the capability": {
			func(f *Facts) { f.Wire = errRefused },
			map[string]Status{"trial: wire": Degraded},
			"", "-> no capability is missing: let SELinux",
		},
		"no discovery": {
			func(f *Facts) { f.Held = privileges.Keep(true, false, true) },
			map[string]Status{"CAP_SYS_PTRACE": Degraded, "CAP_DAC_READ_SEARCH": Degraded, "CAP_CHECKPOINT_RESTORE": Degraded},
			"", "what is degraded: 3 of 27",
		},
		"admin only": {
			func(f *Facts) { f.Held = privileges.Of(capability.CAP_SYS_ADMIN, capability.CAP_NET_ADMIN) },
			map[string]Status{"CAP_SYS_PTRACE": Degraded, "CAP_DAC_READ_SEARCH": Degraded, "CAP_LEASE": Degraded},
			"", "",
		},
		"single uprobes": {
			func(f *Facts) { old(f); f.Held = privileges.Keep(false, true, true) },
			map[string]Status{"sleepable uprobes": Degraded, "uprobe_multi": Degraded},
			"", "CAP_SYS_ADMIN              attaches single uprobes",
		},
		"single uprobes on a lenient kernel": {
			old, map[string]Status{"sleepable uprobes": Degraded, "uprobe_multi": Degraded}, "", "not needed: this kernel lets others attach single uprobes",
		},
		"single uprobes refused": {
			func(f *Facts) { old(f); f.Paranoid, f.Attach = "3", fmt.Errorf("attach: %w", syscall.EACCES) },
			map[string]Status{"sleepable uprobes": Degraded, "uprobe_multi": Degraded, "CAP_SYS_ADMIN": Missing, "trial: attach": Missing},
			"CAP_SYS_ADMIN, trial: attach", "3: above 2, Debian's",
		},
		"refused in spite of the capabilities": {
			func(f *Facts) { f.Load = errRefused },
			map[string]Status{"trial: load": Missing, "trial: attach": Unknown, "trial: wire": Unknown},
			"trial: load", "SELinux",
		},
		"attached but not hit": {
			func(f *Facts) { f.Attach = errors.New("a hit was not recorded") },
			map[string]Status{"trial: attach": Missing},
			"trial: attach", "please report",
		},
		"no control groups": {func(f *Facts) { f.Cgroup = 0 }, map[string]Status{"control groups": Degraded}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := best()
			test.change(&f)
			r := Judge(f)
			got := make(map[string]Status)
			for _, result := range r {
				if result.Detail == "" || (result.Status == OK) != (result.Remedy == "") {
					t.Errorf("incomplete: %+v", result)
				}
				if result.Status != OK {
					got[result.Name] = result.Status
				}
			}
			if !maps.Equal(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
			err := ""
			if e := r.Err(); e != nil {
				err = strings.TrimPrefix(e.Error(), "run would not work here; missing: ")
			}
			if err != test.err {
				t.Errorf("error %q, want %q", err, test.err)
			}
			var b strings.Builder
			if err := r.WriteText(&b); err != nil || !strings.Contains(b.String(), test.text) {
				t.Errorf("%v; no %q in\n%s", err, test.text, b.String())
			}
		})
	}
}
