// SPDX-License-Identifier: Apache-2.0

package privileges

import (
	"fmt"

	"github.com/moby/sys/capability"
	"golang.org/x/sys/unix"
)

// Set is a set of capabilities. Bit 1<<c stands for the capability c.
type Set uint64

// Of returns the set that contains caps.
func Of(caps ...capability.Cap) Set {
	var s Set
	for _, c := range caps {
		s |= 1 << c
	}
	return s
}

// Has reports whether c is in the set.
func (s Set) Has(c capability.Cap) bool { return s&Of(c) != 0 }

// names returns the names of the capabilities in the set, separated by commas.
func (s Set) names() string {
	var needs []Need
	for c := range capability.Cap(64) {
		if s.Has(c) {
			needs = append(needs, Need{Cap: c})
		}
	}
	return Names(needs)
}

// implied is the set of capabilities that were split off CAP_SYS_ADMIN. In place of each of these, the kernel accepts
// CAP_SYS_ADMIN; in place of other capabilities, it does not.
const implied = Set(1<<capability.CAP_BPF | 1<<capability.CAP_PERFMON | 1<<capability.CAP_CHECKPOINT_RESTORE)

// Grants reports whether a process with these effective capabilities may do what c permits.
func (s Set) Grants(c capability.Cap) bool {
	return s.Has(c) || implied.Has(c) && s.Has(capability.CAP_SYS_ADMIN)
}

// covering returns the part of the set that is necessary to grant the capabilities in wanted, as far as the set grants
// them.
func (s Set) covering(wanted Set) Set {
	granting := s & wanted
	if (wanted&^s)&implied != 0 {
		granting |= s & Of(capability.CAP_SYS_ADMIN)
	}
	return granting
}

// Held returns the effective capabilities of the calling thread.
func Held() (Set, error) {
	effective, _, err := read()
	return effective, err
}

// read returns the capabilities of the calling thread.
func read() (effective, permitted Set, err error) {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return 0, 0, fmt.Errorf("read capabilities: %w", err)
	}
	return Set(data[1].Effective)<<32 | Set(data[0].Effective), Set(data[1].Permitted)<<32 | Set(data[0].Permitted), nil
}
