// SPDX-License-Identifier: Apache-2.0

package sandbox

import "golang.org/x/sys/unix"

const (
	auditArch        = unix.AUDIT_ARCH_AARCH64
	firstForeignCall = 1 << 31 // none
)

// legacy returns refusals of calls that newer architectures do not have.
func legacy() []refusal { return nil }
