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
	Device  uint64 // of the file system that has the data; of an overlay, the one beneath if that can be found
	Inode   uint64
	Changed int64 // nanoseconds since 1970: the inode's change time (ctime) when it was found
}

// File is a file with usable probes. It is held open, so that it can be attached whatever happens to its path.
type File struct {
	Key    Key
	Path   string // as its processes see it
	Cgroup string // of the process it was first seen in; "" if it was found on the host's disk
	Owner  string // whose share of the limits it counts against: a path of a cgroup, or a user
	// OwnerClass is what kind of owner that is.
	OwnerClass limits.Class
	Probes     *probes.File

	// Trusted says that only root can change what is at Path: the file and every folder on the way to it belong to the
	// host's root, nobody else may write to them, and the file system is not mounted nosuid. Distrust says what is missing.
	Trusted  bool
	Distrust string
	// Namespaced says that this holds in a mount namespace of its own only, such as a container's: somebody else than the
	// administrator of the host may be root there.
	Namespaced bool

	// Fresh says that the file was changed moments before it was read. It may have been changed since, too, and still have
	// the change time in Key: those of many file systems are the time of the last tick, as on all before Linux 6.13.
	Fresh bool

	open *os.File
}

// RootOnly reports whether nobody but the host's root can write the file. In a mount namespace of its own, somebody else
// may be root.
func (f *File) RootOnly() bool { return f.Trusted && !f.Namespaced }

// LimitsOwner returns the file's owner as limits name it.
func (f *File) LimitsOwner() limits.Owner { return limits.Owner{Name: f.Owner, Class: f.OwnerClass} }

// Dup returns a descriptor of the file that the caller closes. It does not block, and works until [Config.Gone] has
// returned for the file or the Discoverer is closed.
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

	// Found is called for each file with usable probes, Gone when no process maps a file and its path no longer leads to
	// it. Judged is called for a file that was found and has the same content still, when it is known to be trusted or
	// distrusted now: its permissions have changed, or another file lies at its path. They are called from within Scan and
	// Run, one call at a time, and may call the Discoverer's methods except for Scan, Run and Close.
	Found  func(*File)
	Judged func(*File)
	Gone   func(Key)

	// Rules are in force until [Discoverer.Reload] changes them.
	Rules

	// Changed, if set, calls visit with each process that is new or whose executable mappings have changed since the last
	// call. Without it, and while it fails, each pass asks every process.
	Changed func(visit func(pid uint32)) error

	// Limits counts what the limits of Rules cost, and decides how often that is logged; by default, a Monitor of its own does.
	Limits *limits.Monitor

	// Descriptors is how many file descriptors the Discoverer and reported files may use: no limit. A part of them is for
	// looking at files; each reported file uses one that holds it open, and its Costs.
	Descriptors int
	Costs       Costs

	// MaxFacts is how many files without probes are remembered, so that they need not be read again: 262144, of some 100
	// bytes each.
	MaxFacts int

	// Interval is the time from one pass over the processes to the next: 750 ms. Passes become rarer if they would take
	// more than 2 % of one processor. It can be longer if Notify is called.
	Interval time.Duration

	// Root is a path to the host's root folder: /proc/1/root, or / if that cannot be opened.
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
