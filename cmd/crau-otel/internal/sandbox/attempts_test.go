// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// raw makes a system call.
func raw(call uintptr, arguments ...uintptr) error {
	var a [6]uintptr
	copy(a[:], arguments)
	if _, _, errno := unix.Syscall6(call, a[0], a[1], a[2], a[3], a[4], a[5]); errno != 0 {
		return errno
	}
	return nil
}

// text returns the address of a copy of s that ends with a NUL byte.
func text(s string) uintptr {
	p, _ := unix.BytePtrFromString(s)
	return uintptr(unsafe.Pointer(p))
}

// closing closes the descriptor fd that an attempt has opened, unless err says that the attempt failed. It returns err.
func closing(fd int, err error) error {
	if err == nil {
		unix.Close(fd)
	}
	return err
}

// victims starts n programs that sleep until the test ends, and returns their process ids.
func victims(t *testing.T, n int) []int {
	t.Helper()
	var pids []int
	for range n {
		cmd := exec.Command("sleep", "60")
		// The kernel has to send the signal, because the sandbox does not allow this process to send it.
		cmd.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		pids = append(pids, cmd.Process.Pid)
	}
	return pids
}

// attempts returns the attempts by name. Each can be made twice: once outside and once inside the sandbox.
func attempts(t *testing.T, dir string, pins *os.File) map[string]func() error {
	t.Helper()
	// Attempts that remove or change something need a new object for the second time.
	made := 0
	file := func(folder string) func() string {
		for i := range 2 {
			if err := os.WriteFile(filepath.Join(dir, folder, fmt.Sprint("file", made+i)), []byte("text"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		next := made
		made += 2
		return func() string {
			next++
			return filepath.Join(dir, folder, fmt.Sprint("file", next-1))
		}
	}
	pin, removed, truncated, renamed, linked := file("pins"), file(""), file(""), file(""), file("")
	written, changed, attributed := file("")(), file("")(), file("")()
	fresh := func() string { made++; return filepath.Join(dir, fmt.Sprint("new", made)) }
	folders := []string{fresh(), fresh()}
	for _, folder := range folders {
		if err := os.Mkdir(folder, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	traced := victims(t, 2)
	other := victims(t, 1)[0]
	pidfd, err := unix.PidfdOpen(other, 0)
	if err != nil {
		t.Fatal(err)
	}
	mounted := filepath.Join(dir, "mounted")
	for range 2 {
		if err := unix.Mount("none", mounted, "tmpfs", 0, ""); err != nil {
			t.Fatal(err)
		}
	}
	handle, _, err := unix.NameToHandleAt(unix.AT_FDCWD, dir, 0)
	if err != nil {
		t.Fatal(err)
	}
	beneath, err := unix.Open(dir, unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	page, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	info := new([128]byte)
	*(*int32)(unsafe.Pointer(&info[8])) = -1 // si_code of SI_QUEUE
	vector := &unix.Iovec{Base: &page[0], Len: 8}
	remote := unix.RemoteIovec{Base: 0, Len: 0}

	return map[string]func() error{
		// Programs and executable memory.
		"run a program": func() error { return exec.Command("/bin/true").Run() },
		"execve":        func() error { return unix.Exec("/no/such/program", nil, nil) },
		"execveat":      func() error { return raw(unix.SYS_EXECVEAT, 0, text("/no/such/program"), 0, 0, 0) },
		"clone3":        func() error { return raw(unix.SYS_CLONE3, 0, 0) },
		"executable memory": func() error {
			m, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_EXEC, unix.MAP_ANON|unix.MAP_PRIVATE)
			if err == nil {
				err = unix.Munmap(m)
			}
			return err
		},
		"make memory executable": func() error { return unix.Mprotect(page, unix.PROT_READ|unix.PROT_WRITE|unix.PROT_EXEC) },
		"file in memory":         func() error { return closing(unix.MemfdCreate("x", unix.MFD_CLOEXEC)) },

		// Files.
		"write file":     func() error { return closing(unix.Open(written, unix.O_WRONLY, 0)) },
		"update file":    func() error { return closing(unix.Open(written, unix.O_RDWR|unix.O_APPEND, 0)) },
		"make file":      func() error { return closing(unix.Open(fresh(), unix.O_CREAT, 0o600)) },
		"make temporary": func() error { return closing(unix.Open(dir, unix.O_TMPFILE|unix.O_WRONLY, 0o600)) },
		"openat2": func() error {
			return closing(unix.Openat2(unix.AT_FDCWD, fresh(), &unix.OpenHow{Flags: unix.O_CREAT | unix.O_WRONLY}))
		},
		"write by handle":  func() error { return closing(unix.OpenByHandleAt(beneath, handle, unix.O_TMPFILE|unix.O_RDWR)) },
		"truncate on open": func() error { return closing(unix.Open(truncated(), unix.O_TRUNC, 0)) },
		"truncate":         func() error { return unix.Truncate(written, 1) },
		"rename":           func() error { return os.Rename(renamed(), fresh()) },
		"link":             func() error { return os.Link(linked(), fresh()) },
		"symlink":          func() error { return os.Symlink("x", fresh()) },
		"make folder":      func() error { return unix.Mkdir(fresh(), 0o700) },
		"make fifo":        func() error { return unix.Mknod(fresh(), unix.S_IFIFO|0o600, 0) },
		"remove file":      func() error { return unix.Unlink(removed()) },
		"remove file at":   func() error { return unix.Unlinkat(beneath, filepath.Base(removed()), 0) },
		"remove folder":    func() error { f := folders[0]; folders = folders[1:]; return unix.Rmdir(f) },
		"change mode":      func() error { return unix.Chmod(changed, 0o777) },
		"give away":        func() error { return unix.Chown(changed, 1, 1) },
		"change times":     func() error { return unix.Utimes(changed, make([]unix.Timeval, 2)) },
		"set attribute":    func() error { return unix.Setxattr(attributed, "trusted.x", []byte("y"), 0) },
		"read file":        func() error { return closing(unix.Open(written, unix.O_RDONLY, 0)) },
		"find file":        func() error { return closing(unix.Open(written, unix.O_PATH, 0)) },
		"read by handle":   func() error { return closing(unix.OpenByHandleAt(beneath, handle, unix.O_RDONLY)) },
		"list folder":      func() error { _, err := os.ReadDir(dir); return err },
		"remove pin":       func() error { return unix.Unlinkat(int(pins.Fd()), filepath.Base(pin()), 0) },
		"watch file":       func() error { return closing(unix.InotifyInit1(unix.IN_CLOEXEC)) },
		"map file or memory": func() error {
			m, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
			if err == nil {
				err = unix.Munmap(m)
			}
			return err
		},

		// Mounts and namespaces. The test process has separate mount and UTS namespaces.
		"mount":                  func() error { return unix.Mount("none", filepath.Join(dir, "mount"), "tmpfs", 0, "") },
		"unmount":                func() error { return unix.Unmount(mounted, 0) },
		"open a mount":           func() error { return closing(unix.OpenTree(unix.AT_FDCWD, dir, unix.OPEN_TREE_CLOEXEC)) },
		"make a file system":     func() error { return closing(unix.Fsopen("tmpfs", unix.FSOPEN_CLOEXEC)) },
		"change the root folder": func() error { return unix.Chroot("/") },
		"new namespace":          func() error { return unix.Unshare(unix.CLONE_NEWUTS) },
		"name the host":          func() error { return unix.Sethostname([]byte("x")) },

		// Processes.
		"trace": func() error {
			p := traced[0]
			traced = traced[1:]
			return raw(unix.SYS_PTRACE, unix.PTRACE_SEIZE, uintptr(p), 0, 0)
		},
		"read memory": func() error {
			_, err := unix.ProcessVMReadv(other, []unix.Iovec{*vector}, []unix.RemoteIovec{remote}, 0)
			return err
		},
		"read own memory": func() error {
			_, err := unix.ProcessVMReadv(os.Getpid(), []unix.Iovec{*vector}, []unix.RemoteIovec{remote}, 0)
			return err
		},
		"write memory": func() error {
			_, err := unix.ProcessVMWritev(other, []unix.Iovec{*vector}, []unix.RemoteIovec{remote}, 0)
			return err
		},
		"signal":             func() error { return unix.Kill(other, 0) },
		"signal a thread":    func() error { return unix.Tgkill(other, other, 0) },
		"queue a signal":     func() error { return raw(unix.SYS_RT_SIGQUEUEINFO, uintptr(other), 0, uintptr(unsafe.Pointer(info))) },
		"signal by pidfd":    func() error { return unix.PidfdSendSignal(pidfd, 0, nil, 0) },
		"steal a descriptor": func() error { return closing(unix.PidfdGetfd(pidfd, 0, 0)) },
		"write to memory":    func() error { return closing(unix.Open(fmt.Sprintf("/proc/%d/mem", other), unix.O_RDWR, 0)) },
		"signal itself":      func() error { return unix.Kill(os.Getpid(), 0) },
		"see executable":     func() error { _, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", other)); return err },
		"see memory map":     func() error { _, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", other)); return err },
		"see mapped files":   func() error { _, err := os.ReadDir(fmt.Sprintf("/proc/%d/map_files", other)); return err },
		"see root folder":    func() error { _, err := os.ReadDir(fmt.Sprintf("/proc/%d/root/", other)); return err },
		"start a thread": func() error {
			started := make(chan struct{})
			go func() { runtime.LockOSThread(); close(started) }() // the thread ends with the goroutine
			<-started
			return nil
		},

		// The kernel. Calls that would change something are invalid on purpose.
		"become another user": func() error { return raw(unix.SYS_SETFSUID, 0) },
		"set capabilities":    func() error { return unix.Capset(&unix.CapUserHeader{}, &unix.CapUserData{}) },
		"adjust the clock":    func() error { _, err := unix.Adjtimex(new(unix.Timex)); return err },
		"set the clock":       func() error { return unix.ClockSettime(999, new(unix.Timespec)) },
		"kexec":               func() error { return raw(unix.SYS_KEXEC_LOAD, 0, 999, 0, ^uintptr(0)) },
		"kexec a file":        func() error { return raw(unix.SYS_KEXEC_FILE_LOAD, ^uintptr(0), ^uintptr(0), 0, 0, ^uintptr(0)) },
		"load a module":       func() error { return raw(unix.SYS_FINIT_MODULE, ^uintptr(0), 0, ^uintptr(0)) },
		"reboot":              func() error { return raw(unix.SYS_REBOOT, 0, 0, 0, 0) },
		"type into terminal":  func() error { return raw(unix.SYS_IOCTL, 0, unix.TIOCSTI, text("x")) },
		"userfaultfd":         func() error { return raw(unix.SYS_USERFAULTFD, ^uintptr(0)) },
		"io_uring":            func() error { return raw(unix.SYS_IO_URING_SETUP, 0, 0) },
		"load a BPF program":  func() error { return raw(unix.SYS_BPF, bpfProgLoad, 0, 0) },
		"open a perf event":   func() error { return raw(unix.SYS_PERF_EVENT_OPEN, 0, 0, 0, 0, 0) },
		"make a BPF map":      func() error { return raw(unix.SYS_BPF, 0, uintptr(unsafe.Pointer(&mapAttr)), unsafe.Sizeof(mapAttr)) },
		"foreign call":        func() error { return raw(firstForeignCall|unix.SYS_GETPID, 0) },

		// The network.
		"listen":        func() error { return listen() },
		"packet socket": func() error { return closing(unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)) },
		"connect": func() error {
			c, err := net.Dial("tcp", server.Addr().String())
			if err == nil {
				err = c.Close()
			}
			return err
		},
	}
}

// mapAttr contains the arguments of bpf(2) for creating an array of one element, in the layout of union bpf_attr in
// <linux/bpf.h>.
var mapAttr = struct{ kind, keySize, valueSize, maxEntries uint32 }{2, 4, 4, 1}

func listen() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err == nil {
		err = l.Close()
	}
	return err
}
