// SPDX-License-Identifier: Apache-2.0

package sandbox

import "golang.org/x/sys/unix"

const (
	auditArch        = unix.AUDIT_ARCH_AARCH64
	firstForeignCall = 1 << 31 // larger than all numbers: there is no other ABI
)

// legacy returns nil, because arm64 has none of the calls that newer calls have replaced.
func legacy() []refusal { return nil }
