// SPDX-License-Identifier: Apache-2.0

package privileges

import (
	"fmt"
	"strings"

	"github.com/moby/sys/capability"
)

// Use is a situation in which capabilities are needed.
type Use string

// The situations.
const (
	Always        Use = "always"         // nothing works without it
	SingleUprobes Use = "single uprobes" // to attach without uprobe_multi, on kernels that require it
	Wire          Use = "wire"           // to read handshakes from connections
	Overwriting   Use = "overwriting"    // to detach a file before it is overwritten; without it programs that load it may die
	Discovery     Use = "discovery"      // to find programs and libraries; without it some are missed
)

// Need is a capability that crau-otel uses.
type Need struct {
	Cap    capability.Cap
	Use    Use
	Reason string // for crau-otel check, without a subject, such as "loads the program"
}

// Name returns the capability's name as of capabilities(7).
func (n Need) Name() string { return "CAP_" + strings.ToUpper(n.Cap.String()) }

// Needs returns every capability that crau-otel uses. TestEachCapabilityIsNeededForItsReason removes them one by one.
func Needs() []Need {
	return []Need{
		{
			capability.CAP_BPF, Always,
			"loads the BPF program and reads its counters: kernels refuse bpf(2) to others",
		},
		{
			capability.CAP_PERFMON, Always,
			"lets the program trace: attaches it to probe sites and reads the memory of the process that hits one",
		},
		{
			capability.CAP_SYS_ADMIN, SingleUprobes,
			"attaches single uprobes, the only way before Linux 6.6: kernels with the fix of CVE-2025-38466 (5.15.189, 6.1.146) " +
				"refuse them to others, as Debian's and Ubuntu's do with kernel.perf_event_paranoid above 2",
		},
		{
			capability.CAP_NET_ADMIN, Wire,
			"attaches the programs that read handshakes from connections: without it only libraries with probes are seen, and no " +
				"stock program",
		},
		{
			capability.CAP_LEASE, Overwriting,
			"makes programs that overwrite an attached file in place wait until it is detached: without it, overwriting is noticed " +
				"up to 0.75 s later, and programs that load the file in the meantime may die",
		},
		{
			capability.CAP_SYS_PTRACE, Discovery,
			"looks into the processes of other users and with other capabilities: /proc/PID/exe, root, map_files, and before " +
				"Linux 6.15 maps",
		},
		{
			capability.CAP_DAC_READ_SEARCH, Discovery,
			"lists /proc/PID/map_files of other users, and reads files that, or whose folders, only their owner may read",
		},
		{
			capability.CAP_CHECKPOINT_RESTORE, Discovery,
			"opens the files in /proc/PID/map_files, which reach what was deleted or replaced since",
		},
	}
}

// Keep returns the capabilities that a running agent keeps. multi is whether the tracer uses uprobe_multi, and
// discovery and wire say whether these are enabled.
func Keep(multi, discovery, wire bool) Set {
	var keep Set
	for _, n := range Needs() {
		if n.Use == Always || n.Use == Overwriting || n.Use == SingleUprobes && !multi || n.Use == Discovery && discovery ||
			n.Use == Wire && wire {
			keep |= Of(n.Cap)
		}
	}
	return keep
}

// Missing returns the capabilities that a use needs and that held does not grant.
func Missing(held Set, use Use) []Need {
	var missing []Need
	for _, n := range Needs() {
		if n.Use == use && !held.Grants(n.Cap) {
			missing = append(missing, n)
		}
	}
	return missing
}

// Names returns the names of the capabilities on one line.
func Names(needs []Need) string {
	names := make([]string, len(needs))
	for i, n := range needs {
		names[i] = n.Name()
	}
	return strings.Join(names, ", ")
}

// Check returns an error that names the missing capabilities that are always needed.
func Check() error {
	held, err := Held()
	if err != nil {
		return err
	}
	missing := Missing(held, Always)
	if missing == nil {
		return nil
	}
	return fmt.Errorf("missing capabilities: %s; run as root, or grant them with setcap(8)", Names(missing))
}
