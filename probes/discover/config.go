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
	Device  uint64 // of the file system with the data; for an overlay, of the one beneath if it can be found
	Inode   uint64
	Changed int64 // nanoseconds since 1970: the inode's change time (ctime) when it was found
}

// File is a file with usable probes. It is held open, so that it can be attached even if its path changes.
type File struct {
	Key    Key
	Path   string // as seen by its processes
	Cgroup string // of the process in which it was first seen; "" if it was found on the host's disk
	Owner  string // that it counts against: a path of a cgroup, or a user
	// OwnerClass is the class of that owner.
	OwnerClass limits.Class
	Probes     *probes.File

	// Trusted means that only root can change the file at Path: the file and every folder on the path belong to the host's
	// root, nobody else may write to them, and the file system is not mounted nosuid. Otherwise Distrust explains what is
	// wrong.
	Trusted  bool
	Distrust string
	// Namespaced means that Trusted applies only within a separate mount namespace, such as a container's. The root of
	// that namespace may be someone other than the administrator of the host.
	Namespaced bool

	// Fresh means that the file was changed moments before it was read. It may have been changed again since, without a
	// new change time in Key: many file systems use the time of the last tick, as all did before Linux 6.13.
	Fresh bool

	open *os.File
}

// RootOnly reports whether only the host's root can write the file. In a separate mount namespace, someone else may be
// root.
func (f *File) RootOnly() bool { return f.Trusted && !f.Namespaced }

// LimitsOwner returns the file's owner as limits name it.
func (f *File) LimitsOwner() limits.Owner { return limits.Owner{Name: f.Owner, Class: f.OwnerClass} }

// Dup returns a descriptor of the file, which the caller must close. It does not block, and works until [Config.Gone]
// has returned for the file or the Discoverer is closed.
func (f *File) Dup() (*os.File, error) {
	fd, err := unix.FcntlInt(f.open.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("duplicate descriptor: %w", err)
	}
	return os.NewFile(uintptr(fd), f.Path), nil
}

// Config configures a Discoverer. The zero value means defaults.
type Config struct {
	Log *slog.Logger // nothing is logged by default

	// Found is called for each file with usable probes. Gone is called when no process maps a file and its path no longer
	// leads to it. Judged is called when a file that was found became trusted or distrusted while its content stayed the
	// same: its permissions changed, or another file is at its path. All three are called from within Scan and Run, one
	// call at a time, and may call any method of the Discoverer except Scan, Run and Close.
	Found  func(*File)
	Judged func(*File)
	Gone   func(Key)

	// Rules apply until [Discoverer.Reload] changes them.
	Rules

	// Changed, if set, calls visit with each process that is new or whose executable mappings have changed since the last
	// call. Without it, and while it fails, each pass checks every process.
	Changed func(visit func(pid uint32)) error

	// Limits counts what the limits of Rules cost, and decides how often that is logged. Default: a new Monitor.
	Limits *limits.Monitor

	// Descriptors is how many file descriptors the Discoverer and reported files may use. Default: no limit. Some of them
	// are for looking at files. Each reported file uses one that holds it open, plus its Costs.
	Descriptors int
	Costs       Costs

	// MaxFacts is how many files without probes are remembered, so that they need not be read again. Default: 262144, of
	// about 100 bytes each.
	MaxFacts int

	// Interval is the time from one pass over the processes to the next. Default: 750 ms. Passes become less frequent if
	// they would take more than 2 % of one processor. With Notify, the interval can be longer.
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
