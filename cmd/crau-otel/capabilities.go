// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"

	"github.com/moby/sys/capability"
)

// checkCapabilities returns an error that names what this process lacks to load the program and attach it.
// CAP_SYS_ADMIN implies the others; see capabilities(7).
func checkCapabilities() error {
	caps, err := capability.NewPid2(0)
	if err != nil {
		return fmt.Errorf("read capabilities: %w", err)
	}
	if err := caps.Load(); err != nil {
		return fmt.Errorf("read capabilities: %w", err)
	}
	if caps.Get(capability.EFFECTIVE, capability.CAP_SYS_ADMIN) {
		return nil
	}
	var missing []string
	for _, c := range []capability.Cap{capability.CAP_BPF, capability.CAP_PERFMON} {
		if !caps.Get(capability.EFFECTIVE, c) {
			missing = append(missing, "CAP_"+strings.ToUpper(c.String()))
		}
	}
	if missing == nil {
		return nil
	}
	return fmt.Errorf("missing capabilities: %s; run as root, or grant them with setcap(8)", strings.Join(missing, ", "))
}
