// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

const (
	auditArch        = unix.AUDIT_ARCH_X86_64
	firstForeignCall = 0x40000000 // first number of the x32 ABI: __X32_SYSCALL_BIT of <asm/unistd.h>
)

// legacy returns refusals of calls that only older architectures have.
func legacy() []refusal {
	all := []refusal{{call: unix.SYS_OPEN, test: &test{1, bpf.JumpBitsSet, writes}}}
	for _, call := range []uintptr{
		unix.SYS_FORK, unix.SYS_VFORK, unix.SYS_USELIB,
		unix.SYS_CREAT, unix.SYS_RENAME, unix.SYS_LINK, unix.SYS_SYMLINK, unix.SYS_MKDIR, unix.SYS_RMDIR, unix.SYS_UNLINK,
		unix.SYS_MKNOD, unix.SYS_CHMOD, unix.SYS_CHOWN, unix.SYS_LCHOWN, unix.SYS_UTIME, unix.SYS_UTIMES, unix.SYS_FUTIMESAT,
		unix.SYS_IOPL, unix.SYS_IOPERM, unix.SYS_MODIFY_LDT,
	} {
		all = append(all, refusal{call: call})
	}
	return all
}
