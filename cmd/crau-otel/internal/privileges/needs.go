// SPDX-License-Identifier: Apache-2.0

package privileges

import (
	"fmt"
	"strings"

	"github.com/moby/sys/capability"
)

// Use is what a capability is needed for.
type Use string

// The uses.
const (
	Always        Use = "always"         // for everything
	SingleUprobes Use = "single uprobes" // to attach probes without uprobe_multi, if the kernel requires it
	Wire          Use = "wire"           // to read handshakes from connections
	Overwriting   Use = "overwriting"    // to detach a file before it is overwritten, or else programs may crash
	Discovery     Use = "discovery"      // to find programs and libraries; otherwise some are missed
)

// Need is a capability that crau-otel uses.
type Need struct {
	Cap    capability.Cap
	Use    Use
	Reason string // what the capability does, as a predicate such as "loads the program"
}

// Name returns the name of the capability in capabilities(7).
func (n Need) Name() string { return "CAP_" + strings.ToUpper(n.Cap.String()) }

// Needs returns every capability that crau-otel uses. TestEachCapabilityIsNeededForItsReason removes each of them and
// checks that something no longer works.
func Needs() []Need {
	return []Need{
		{
			capability.CAP_BPF, Always,
			"loads the BPF programs and reads their counters; without it the kernel refuses bpf(2)",
		},
		{
			capability.CAP_PERFMON, Always,
			"attaches the BPF program to probe sites, and lets it read the memory of the process that hits one",
		},
		{
			capability.CAP_SYS_ADMIN, SingleUprobes,
			"attaches single uprobes, the only way before Linux 6.6: kernels with the fix of CVE-2025-38466 (5.15.189, 6.1.146) " +
				"refuse them to others, as Debian's and Ubuntu's do with kernel.perf_event_paranoid above 2",
		},
		{
			capability.CAP_NET_ADMIN, Wire,
			"attaches the programs that read handshakes from connections: without it, only libraries with probes are seen, and no " +
				"stock program",
		},
		{
			capability.CAP_LEASE, Overwriting,
			"makes programs that overwrite an attached file in place wait until it is detached: without it, overwriting is noticed " +
				"up to 0.75 s later, and programs that load the file in the meantime may die",
		},
		{
			capability.CAP_SYS_PTRACE, Discovery,
			"examines processes of other users, and those with other capabilities: /proc/PID/exe, root, map_files, and before " +
				"Linux 6.15 maps",
		},
		{
			capability.CAP_DAC_READ_SEARCH, Discovery,
			"lists /proc/PID/map_files of other users, and reads files that only their owner may read or reach",
		},
		{
			capability.CAP_CHECKPOINT_RESTORE, Discovery,
			"opens the files in /proc/PID/map_files, which lead to files that were deleted or replaced",
		},
	}
}

// Keep returns the capabilities that a running agent keeps. multi is set if the tracer uses uprobe_multi; discovery and
// wire are set if these features are enabled.
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

// Missing returns the capabilities that a use needs, but held does not grant.
func Missing(held Set, use Use) []Need {
	var missing []Need
	for _, n := range Needs() {
		if n.Use == use && !held.Grants(n.Cap) {
			missing = append(missing, n)
		}
	}
	return missing
}

// Names returns the names of capabilities, separated by commas.
func Names(needs []Need) string {
	names := make([]string, len(needs))
	for i, n := range needs {
		names[i] = n.Name()
	}
	return strings.Join(names, ", ")
}

// Check returns an error if the process lacks any of the capabilities that are always needed. The error names all the
// missing ones.
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
