// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"os"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// refusal describes a system call that is refused, always or for some arguments.
type refusal struct {
	call  uintptr    // number of the system call
	test  *test      // arguments for which the call is refused; nil means always
	errno unix.Errno // error of the call; 0 means EPERM
}

// test is a comparison with the lower 32 bits of an argument.
type test struct {
	argument   uint32 // index of the argument; 0 is the first
	comparison bpf.JumpTest
	value      uint32
}

func (r refusal) with() unix.Errno {
	if r.errno == 0 {
		return unix.EPERM
	}
	return r.errno
}

// writes contains flags of open(2). Every call that can change a file or folder has at least one of them: even with
// O_TMPFILE, the access mode must not be O_RDONLY.
const writes = unix.O_ACCMODE | unix.O_CREAT | unix.O_TRUNC

// Commands of bpf(2).
const (
	bpfProgLoad    = 5
	bpfBTFLoad     = 18
	bpfTokenCreate = 36
)

// refusals returns the refused calls. Each of them would be a way out of the sandbox, or could harm the host.
func refusals(cfg Config) []refusal {
	var all []refusal
	add := func(calls ...uintptr) {
		for _, call := range calls {
			all = append(all, refusal{call: call})
		}
	}
	addIf := func(call uintptr, argument uint32, is bpf.JumpTest, value uint32) {
		all = append(all, refusal{call: call, test: &test{argument, is, value}})
	}

	// Executing programs, or code that was written to memory.
	add(unix.SYS_EXECVE, unix.SYS_EXECVEAT, unix.SYS_MEMFD_CREATE)
	addIf(unix.SYS_CLONE, 0, bpf.JumpBitsNotSet, unix.CLONE_THREAD)
	addIf(unix.SYS_MMAP, 2, bpf.JumpBitsSet, unix.PROT_EXEC)
	addIf(unix.SYS_MPROTECT, 2, bpf.JumpBitsSet, unix.PROT_EXEC)
	addIf(unix.SYS_PKEY_MPROTECT, 2, bpf.JumpBitsSet, unix.PROT_EXEC)
	add(unix.SYS_PERSONALITY) // because of READ_IMPLIES_EXEC

	// Writing, creating, renaming or removing files, except for removing the agent's own pins.
	addIf(unix.SYS_OPENAT, 2, bpf.JumpBitsSet, writes)
	addIf(unix.SYS_OPEN_BY_HANDLE_AT, 2, bpf.JumpBitsSet, writes)
	add(unix.SYS_RENAMEAT, unix.SYS_RENAMEAT2, unix.SYS_LINKAT, unix.SYS_SYMLINKAT, unix.SYS_MKDIRAT, unix.SYS_MKNODAT,
		unix.SYS_TRUNCATE, unix.SYS_FTRUNCATE, unix.SYS_FALLOCATE)
	add(unix.SYS_FCHMOD, unix.SYS_FCHMODAT, unix.SYS_FCHMODAT2, unix.SYS_FCHOWN, unix.SYS_FCHOWNAT, unix.SYS_UTIMENSAT)
	add(unix.SYS_SETXATTR, unix.SYS_LSETXATTR, unix.SYS_FSETXATTR, unix.SYS_REMOVEXATTR, unix.SYS_LREMOVEXATTR,
		unix.SYS_FREMOVEXATTR)
	if cfg.Pins == nil {
		add(unix.SYS_UNLINKAT)
	} else {
		// The test of the folder's descriptor is not sufficient, because the kernel ignores it if the path is absolute.
		// Against that, privileges.YieldFiles protects root's files.
		addIf(unix.SYS_UNLINKAT, 0, bpf.JumpNotEqual, uint32(cfg.Pins.Fd()))
		addIf(unix.SYS_UNLINKAT, 2, bpf.JumpNotEqual, 0)
	}

	// Mounting, swap, quotas and process accounting, and changing namespaces or the root directory.
	add(unix.SYS_MOUNT, unix.SYS_UMOUNT2, unix.SYS_MOVE_MOUNT, unix.SYS_OPEN_TREE, unix.SYS_MOUNT_SETATTR, unix.SYS_FSOPEN,
		unix.SYS_FSCONFIG, unix.SYS_FSMOUNT, unix.SYS_FSPICK, unix.SYS_PIVOT_ROOT, unix.SYS_CHROOT, unix.SYS_SETNS,
		unix.SYS_UNSHARE, unix.SYS_SWAPON, unix.SYS_SWAPOFF, unix.SYS_QUOTACTL, unix.SYS_QUOTACTL_FD, unix.SYS_ACCT)

	// Tracing other processes, accessing their memory and descriptors, and sending them signals. Signals to this process
	// are allowed, because Go's runtime needs them.
	add(unix.SYS_PTRACE, unix.SYS_PROCESS_VM_WRITEV, unix.SYS_PROCESS_MADVISE,
		unix.SYS_PROCESS_MRELEASE, unix.SYS_KCMP, unix.SYS_PIDFD_GETFD, unix.SYS_TKILL,
		unix.SYS_RT_SIGQUEUEINFO, unix.SYS_RT_TGSIGQUEUEINFO, unix.SYS_MOVE_PAGES, unix.SYS_MIGRATE_PAGES)
	self := uint32(os.Getpid())
	addIf(unix.SYS_TGKILL, 0, bpf.JumpNotEqual, self)
	addIf(unix.SYS_PROCESS_VM_READV, 0, bpf.JumpNotEqual, self) // probes.CountBreakpoints reads its own process
	if !cfg.Signals {
		addIf(unix.SYS_KILL, 0, bpf.JumpNotEqual, self)
		add(unix.SYS_PIDFD_SEND_SIGNAL)
	}

	// Changing users and capabilities.
	add(unix.SYS_SETUID, unix.SYS_SETGID, unix.SYS_SETREUID, unix.SYS_SETREGID, unix.SYS_SETRESUID, unix.SYS_SETRESGID,
		unix.SYS_SETFSUID, unix.SYS_SETFSGID, unix.SYS_SETGROUPS, unix.SYS_CAPSET)

	// Changing the kernel or the machine's state.
	add(unix.SYS_KEXEC_LOAD, unix.SYS_KEXEC_FILE_LOAD, unix.SYS_INIT_MODULE, unix.SYS_FINIT_MODULE, unix.SYS_DELETE_MODULE,
		unix.SYS_REBOOT, unix.SYS_SETTIMEOFDAY, unix.SYS_CLOCK_SETTIME, unix.SYS_CLOCK_ADJTIME, unix.SYS_ADJTIMEX,
		unix.SYS_SETHOSTNAME, unix.SYS_SETDOMAINNAME, unix.SYS_SYSLOG, unix.SYS_VHANGUP, unix.SYS_ADD_KEY,
		unix.SYS_REQUEST_KEY, unix.SYS_KEYCTL)
	addIf(unix.SYS_IOCTL, 1, bpf.JumpEqual, unix.TIOCSTI) // simulates typing on a terminal
	addIf(unix.SYS_IOCTL, 1, bpf.JumpEqual, unix.TIOCLINUX)

	// Loading BPF programs, which could write to the memory of any process.
	addIf(unix.SYS_BPF, 0, bpf.JumpEqual, bpfBTFLoad)
	addIf(unix.SYS_BPF, 0, bpf.JumpEqual, bpfTokenCreate)
	if !cfg.LoadPrograms {
		addIf(unix.SYS_BPF, 0, bpf.JumpEqual, bpfProgLoad)
		add(unix.SYS_PERF_EVENT_OPEN)
	}

	// Calls that can replace refused ones, or that exploits of the kernel commonly use.
	addIf(unix.SYS_SOCKET, 0, bpf.JumpGreaterThan, unix.AF_NETLINK) // such as AF_PACKET, AF_ALG and AF_VSOCK
	add(unix.SYS_IO_URING_SETUP, unix.SYS_IO_URING_ENTER, unix.SYS_IO_URING_REGISTER, unix.SYS_USERFAULTFD, unix.SYS_LISTEN)

	// clone3 and openat2 pass their flags in memory, which the filter cannot see. On ENOSYS, programs use clone and openat
	// instead.
	all = append(all, legacy()...)
	return append(all, refusal{call: unix.SYS_CLONE3, errno: unix.ENOSYS}, refusal{call: unix.SYS_OPENAT2, errno: unix.ENOSYS})
}
