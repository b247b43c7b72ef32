// SPDX-License-Identifier: Apache-2.0

package privileges

import (
	"slices"
	"testing"

	"github.com/moby/sys/capability"
)

func names(needs []Need) []string {
	var names []string
	for _, n := range needs {
		names = append(names, n.Name())
	}
	return names
}

func TestMissing(t *testing.T) {
	t.Parallel()
	admin := Of(capability.CAP_SYS_ADMIN)
	for _, test := range []struct {
		what string
		held Set
		use  Use
		want []string
	}{
		{"nothing held", 0, Always, []string{"CAP_BPF", "CAP_PERFMON"}},
		{"one held", Of(capability.CAP_BPF), Always, []string{"CAP_PERFMON"}},
		{"admin is both", admin, Always, nil},
		{"both", Of(capability.CAP_BPF, capability.CAP_PERFMON), Always, nil},
		{"both are not admin", Keep(true, true, true), SingleUprobes, []string{"CAP_SYS_ADMIN"}},
		{"admin neither traces nor reads all", admin, Discovery, []string{"CAP_SYS_PTRACE", "CAP_DAC_READ_SEARCH"}},
		{"all", Keep(true, true, true), Discovery, nil},
	} {
		if got := names(Missing(test.held, test.use)); !slices.Equal(got, test.want) {
			t.Errorf("%s: got %v, want %v", test.what, got, test.want)
		}
	}
}

func TestKeptCapabilitiesFollowFromWhatRuns(t *testing.T) {
	t.Parallel()
	always := Of(capability.CAP_BPF, capability.CAP_PERFMON, capability.CAP_LEASE)
	discovery := Of(capability.CAP_SYS_PTRACE, capability.CAP_DAC_READ_SEARCH, capability.CAP_CHECKPOINT_RESTORE)
	admin := Of(capability.CAP_SYS_ADMIN)
	net := Of(capability.CAP_NET_ADMIN)
	for _, test := range []struct {
		multi, discovery, wire bool
		want                   Set
	}{
		{true, false, false, always},
		{true, true, false, always | discovery},
		{true, false, true, always | net},
		{false, false, false, always | admin},
		{false, true, true, always | admin | discovery | net},
	} {
		if got := Keep(test.multi, test.discovery, test.wire); got != test.want {
			t.Errorf("Keep(%t, %t, %t): got %x, want %x", test.multi, test.discovery, test.wire, got, test.want)
		}
	}
}

func TestSysAdminCoversOtherCapabilities(t *testing.T) {
	t.Parallel()
	admin := Of(capability.CAP_SYS_ADMIN)
	for _, test := range []struct{ held, wanted, want Set }{
		{^Set(0), Keep(true, true, true), Keep(true, true, true)},
		{admin, Keep(true, false, false), admin}, // CAP_SYS_ADMIN implies CAP_BPF and CAP_PERFMON
		{admin | Of(capability.CAP_BPF), Of(capability.CAP_BPF), Of(capability.CAP_BPF)},
		{admin, Of(capability.CAP_SYS_PTRACE), 0},
		{Of(capability.CAP_BPF), Keep(true, true, true), Of(capability.CAP_BPF)},
		{0, ^Set(0), 0},
	} {
		if got := test.held.covering(test.wanted); got != test.want {
			t.Errorf("of %x for %x: got %x, want %x", test.held, test.wanted, got, test.want)
		}
	}
}
