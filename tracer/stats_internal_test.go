// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"reflect"
	"testing"

	"github.com/crau-otel/crau-otel/bpf"
)

// sum returns the sum of the uint64 fields of a struct, except the named ones.
func sum(v reflect.Value, except ...string) (total uint64) {
	for i := range v.NumField() {
		excluded := v.Field(i).Kind() != reflect.Uint64
		for _, name := range except {
			excluded = excluded || v.Type().Field(i).Name == name
		}
		if !excluded {
			total += v.Field(i).Uint()
		}
	}
	return total
}

// Every counter of the BPF program has a field in Stats, and every loss has one in OwnerLosses, so that no hit or
// connection is left out when a counter is added.
func TestEveryCounterHasAField(t *testing.T) {
	t.Parallel()
	for i := range int(bpf.AuditCrauStatCRAU_STATS) {
		var n counters
		n[i] = 1
		s, isHit := n.stats(), uint64(0)
		if i <= int(bpf.AuditCrauStatCRAU_STAT_HIDDEN) {
			isHit = 1
		}
		if got := sum(reflect.ValueOf(s), "Hits"); got != 1 || s.Hits != isHit {
			t.Errorf("counter %d of enum crau_stat: %d in the fields of Stats, want 1; %d hits, want %d", i, got, s.Hits, isHit)
		}
	}
	isLost := func(i int) bool { // hidden hits are not lost
		return i > int(bpf.AuditCrauStatCRAU_STAT_SENT) && i < int(bpf.AuditCrauStatCRAU_STAT_HIDDEN) ||
			i >= int(bpf.AuditCrauStatCRAU_STATS) // lost connections
	}
	for i := range int(bpf.AuditCrauStatCRAU_OWNER_STATS) {
		var state bpf.AuditCrauOwner
		state.N[i] = 1
		losses, want := lossesOf(1000, &state), uint64(0)
		if isLost(i) {
			want = 1
		}
		if got := sum(reflect.ValueOf(losses)); got != want {
			t.Errorf("counter %d of enum crau_stat: %d in the fields of OwnerLosses, want %d", i, got, want)
		}
	}
}
