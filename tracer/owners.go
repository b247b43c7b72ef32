// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"

	"github.com/crau-otel/crau-otel/bpf"
)

// The BPF program's encoding of owners, see owner_of in bpf/share.h.
const (
	cgroupOwner      = 1 << 63
	rootOwner        = 1 << 62
	subordinateUsers = 100000
)

// Owner identifies whose share of the ring a hit counts against: a cgroup for the processes of root and of system
// users, else a user.
type Owner struct {
	Cgroup uint64 // number in the version 2 hierarchy; 0 if the owner is a user
	Root   bool   // with Cgroup: owns the cgroup's processes of root, not those of system users
	UID    uint32 // without Cgroup: the user, or the first of a block of 65536 subordinate users
}

// OwnerLosses counts the hits and the connections of an owner that were lost, as in [Stats] and [WireStats].
type OwnerLosses struct {
	Owner Owner

	RingFull, Fault, Busy, Malformed, RateLimited, OwnerLimited uint64
	ConnectionsRingFull, ConnectionsRateLimited                 uint64
}

// OwnerLosses returns what each owner has lost. The BPF program remembers thousands of owners. The counts of an owner
// that it has forgotten are missing, and start again at 0 when the owner returns.
func (t *Tracer) OwnerLosses() ([]OwnerLosses, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil, nil
	}
	const chunk = 512
	var (
		cursor ebpf.MapBatchCursor
		ids    = make([]uint64, chunk)
		states = make([]bpf.AuditCrauOwner, chunk)
		losses []OwnerLosses
	)
	for {
		n, err := t.objs.Owners.BatchLookup(&cursor, ids, states, nil)
		if err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return losses, fmt.Errorf("read owners: %w", err)
		}
		for i := range n {
			losses = append(losses, lossesOf(ids[i], &states[i]))
		}
		if err != nil {
			return losses, nil
		}
	}
}

func lossesOf(id uint64, state *bpf.AuditCrauOwner) OwnerLosses {
	n := &state.N
	losses := OwnerLosses{
		RingFull: n[bpf.AuditCrauStatCRAU_STAT_RING_FULL], Fault: n[bpf.AuditCrauStatCRAU_STAT_FAULT],
		Busy: n[bpf.AuditCrauStatCRAU_STAT_BUSY], Malformed: n[bpf.AuditCrauStatCRAU_STAT_MALFORMED],
		RateLimited:            n[bpf.AuditCrauStatCRAU_STAT_RATE_LIMITED],
		OwnerLimited:           n[bpf.AuditCrauStatCRAU_STAT_OWNER_LIMITED],
		ConnectionsRingFull:    n[bpf.AuditCrauStatCRAU_STAT_WIRE_RING_FULL],
		ConnectionsRateLimited: n[bpf.AuditCrauStatCRAU_STAT_WIRE_RATE_LIMITED],
	}
	switch {
	case id&cgroupOwner != 0:
		losses.Owner = Owner{Cgroup: id &^ (cgroupOwner | rootOwner), Root: id&rootOwner != 0}
	case id >= subordinateUsers:
		losses.Owner.UID = uint32(subordinateUsers + (id-subordinateUsers)<<16)
	default:
		losses.Owner.UID = uint32(id)
	}
	return losses
}
