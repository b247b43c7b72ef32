// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"fmt"
	"log/slog"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/crau-otel/crau-otel/limits"
	"github.com/crau-otel/crau-otel/probes"
)

// Key identifies a file for as long as it does not change.
type Key struct {
	Device  uint64 // number of the file system with the data; for an overlay, of the one beneath if it can be found
	Inode   uint64 // number of the inode in that file system
	Changed int64  // change time (ctime) of the inode when the file was found, in nanoseconds since 1970
}

// File is a file with usable probes. It is held open, so that it can be attached even if its path changes.
type File struct {
	Key    Key
	Path   string // as seen by its processes
	Cgroup string // cgroup of the process in which the file was first seen; "" if it was found on the host's disk
	Owner  string // name of the owner whose limits the file counts against
	// OwnerClass is the class of Owner.
	OwnerClass limits.Class
	Probes     *probes.File

	// Trusted means that only root can change the file at Path: the file and every folder on the path belong to the host's
	// root, nobody else may write to them, and the file system is not mounted nosuid. If the file is not trusted, Distrust
	// says why.
	Trusted  bool
	Distrust string
	// Namespaced means that Trusted applies only within a separate mount namespace, such as a container's. The root of
	// that namespace may be someone other than the administrator of the host.
	Namespaced bool

	// Fresh means that the file was changed moments before it was read. It may have been changed again since and still
	// have the change time in Key, because many file systems round the time down to the kernel's last tick, as all did
	// before Linux 6.13.
	Fresh bool

	open *os.File
}

// RootOnly reports whether only the host's root can write the file. It is false for files in a separate mount
// namespace, where someone else may be root.
func (f *File) RootOnly() bool { return f.Trusted && !f.Namespaced }

// LimitsOwner returns the file's owner in the form that package limits uses.
func (f *File) LimitsOwner() limits.Owner { return limits.Owner{Name: f.Owner, Class: f.OwnerClass} }

// Dup returns a duplicate of the descriptor that holds the file open. The caller must close the duplicate. Dup does not
// block. It works until [Config.Gone] has returned for the file or the Discoverer is closed.
func (f *File) Dup() (*os.File, error) {
	fd, err := unix.FcntlInt(f.open.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("duplicate descriptor: %w", err)
	}
	return os.NewFile(uintptr(fd), f.Path), nil
}

// Config configures a Discoverer. The zero value means defaults.
type Config struct {
	Log *slog.Logger // default: nothing is logged

	// Found is called for each file with usable probes. Gone is called when no process maps a file any more and its path
	// no longer leads to it. Judged is called when a file that was found became trusted or distrusted while its content
	// stayed the same: its permissions changed, or another file is at its path. All three are called from within Scan and
	// Run, one call at a time, and may call any method of the Discoverer except Scan, Run and Close.
	Found  func(*File)
	Judged func(*File)
	Gone   func(Key)

	// Rules apply until [Discoverer.Reload] changes them.
	Rules

	// Changed, if set, calls visit with each process that is new or whose executable mappings have changed since the last
	// call. Without it, and while it fails, each pass checks every process.
	Changed func(visit func(pid uint32)) error

	// Limits counts what is not examined or not reported because of a limit, and decides how often that is logged.
	// Default: a new Monitor.
	Limits *limits.Monitor

	// Descriptors is how many file descriptors the Discoverer and reported files may use. Default: no limit. A quarter of
	// them, but at most 1024, are reserved for looking at files. Each reported file uses one descriptor that holds it
	// open, plus those in Costs.
	Descriptors int
	Costs       Costs

	// MaxFacts is how many files without probes are remembered, so that they need not be read again. Default: 262144, of
	// about 100 bytes each.
	MaxFacts int

	// Interval is the time from one pass over the processes to the next. Default: 750 ms. Passes become less frequent if
	// they would take more than 2 % of one processor. A caller that calls [Discoverer.Notify] can use a longer interval.
	Interval time.Duration

	// Root is a path to the host's root folder. Default: /proc/1/root, or / if that cannot be opened.
	Root string
}

func (c *Config) setDefaults() {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Descriptors <= 0 {
		c.Descriptors = -1
	}
	if c.MaxFacts <= 0 {
		c.MaxFacts = 1 << 18
	}
	if c.Limits == nil {
		c.Limits = limits.New(limits.Config{})
	}
	if c.Interval <= 0 {
		c.Interval = 750 * time.Millisecond
	}
}
