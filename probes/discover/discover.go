// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/crau-otel/crau-otel/probes"
)

// Key identifies a file for as long as it does not change.
type Key struct {
	Device  uint64 // number of the device that has the data: beneath an overlay, where that can be told
	Inode   uint64
	Changed int64 // nanoseconds since 1970: when the inode last changed (ctime), as it was found
}

// File is a file with usable probes. It is held open, so that it can be
// attached to whatever happens to its path.
type File struct {
	Key    Key
	Path   string // as its processes see it
	Cgroup string // of the process it was first seen in; "" if it was found on the host's disk
	Probes *probes.File

	// Trusted says that root alone can change what is at Path: the file and
	// every folder on the way to it belong to the host's root, nobody else may
	// write to them, and its file system is not mounted nosuid. Distrust says
	// what is missing.
	Trusted  bool
	Distrust string

	open *os.File
}

// AttachPath returns a path that leads to the file itself, for
// [probes.Attach]. It is good until [Config.Gone] has returned for the file or
// the Discoverer is closed.
func (f *File) AttachPath() string { return descriptorPath(int(f.open.Fd())) }

// Config configures a Discoverer. Where nothing else is said, the zero value
// stands for the default, and a negative limit for none at all.
//
// Patterns have the wildcards * (anything but /), ** (anything) and ? (one
// character, not /). One without / is compared with the last part only.
type Config struct {
	Log *slog.Logger // nothing is logged by default

	// Found is called for each file with usable probes, Gone when no process
	// maps a file and its path no longer leads to it. Both are called from
	// within Scan and Run, one call at a time, and may call the Discoverer's
	// methods save these two and Close.
	Found func(*File)
	Gone  func(Key)

	// Libraries are paths of files that are always reported, whatever the
	// limits and patterns say. What is not there yet is waited for.
	Libraries []string

	// Enabled says whether to look for more than Libraries.
	Enabled bool

	Allow           []string // patterns on File.Path; if there are any, one must fit
	Deny            []string // patterns on File.Path; none may fit
	DenyExecutables []string // patterns on the paths of executables whose processes are not looked into
	DenyCgroups     []string // patterns on the cgroup paths of processes that are not looked into

	MaxFiles             int // reported at a time: 1024
	MaxFilesPerContainer int // of these, first seen in one container or unit: 64; a quarter in one process
	MaxSites             int // probe sites of reported files: 16384
	MaxSitesPerContainer int // of these, in files first seen in one container or unit: 2048; half in one process

	// Changed, if any, calls visit with each process that can execute more or
	// less memory than the last time, and those that are new. Without it, and
	// when it fails, every process is asked by itself at each pass.
	Changed func(visit func(pid uint32)) error

	// Interval is the time from one pass over the processes to the next:
	// 750 ms. Passes are made less often where they would take more than 2 %
	// of one processor. Where Notify is fed, it can be longer.
	Interval time.Duration

	// Root is a path to the host's root folder: /proc/1/root, or / where that
	// cannot be opened.
	Root string
}

func (c *Config) setDefaults() {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	for _, limit := range []struct {
		value *int
		most  int
	}{
		{&c.MaxFiles, 1024},
		{&c.MaxFilesPerContainer, 64},
		{&c.MaxSites, 16384},
		{&c.MaxSitesPerContainer, 2048},
	} {
		if *limit.value == 0 {
			*limit.value = limit.most
		}
	}
	if c.Interval <= 0 {
		c.Interval = 750 * time.Millisecond
	}
}

// Discoverer finds files with probes.
type Discoverer struct {
	log         *slog.Logger
	found       func(*File)
	gone        func(Key)
	changed     func(visit func(pid uint32)) error // nil: there is no telling
	interval    time.Duration
	root        *os.File // a mere path
	hostRoot    root     // the same
	proc        *os.File
	load        *os.File // /proc/loadavg; nil where it is not the kernel's
	hostSpace   uint64   // the mount namespace that root belongs to
	maxWatched  int      // processes whose statm is held open
	patience    time.Duration
	helper      *helper
	wake        chan struct{} // 1 element: something was notified
	scanning    sync.Mutex    // held by Scan and Run
	closed      bool          // under scanning
	scanned     bool          // under scanning
	notifyMutex sync.Mutex
	notified    map[uint32]struct{}
	overflown   bool // there were too many

	mu         sync.Mutex // for all below
	cfg        Config
	policy     policy
	reload     *reload // asked for
	known      map[inode]fact
	files      map[inode]*entry // by device and inode of the Key; with probes, reported or refused
	processes  map[uint32]*process
	containers map[string]*container
	ready      []*container // that have processes to look at, in turn
	follow     map[*process]struct{}
	events     []event
	disk       disk
	stuck      map[uint64]int  // devices whose file system does not answer, and how many helpers wait for it
	waiting    int             // helpers that do
	good       map[uint64]bool // devices whose file system has answered
	swept      time.Time       // when old facts were dropped
	round      uint32          // of listing the processes
	listed     uint64          // the last process that was started before that
	watched    int             // processes whose statm is open
	reported   quota
	nobody     *process // that files on the host's disk are first seen in
	maps       mapsReader
	buffer     []byte // 64 KiB
	listing    []byte // likewise
}

// reload is what Reload leaves behind.
type reload struct {
	cfg    Config
	policy policy
}

// event is a call of Found or Gone that is due.
type event struct {
	entry *entry
	gone  bool
}

// New returns a Discoverer that has not looked at anything yet. It must be
// closed.
func New(cfg Config) (*Discoverer, error) {
	cfg.setDefaults()
	rules, err := newPolicy(&cfg)
	if err != nil {
		return nil, err
	}
	d := &Discoverer{
		log: cfg.Log, found: cfg.Found, gone: cfg.Gone, changed: cfg.Changed, interval: cfg.Interval,
		patience: patience, helper: newHelper(),
		wake: make(chan struct{}, 1), notified: make(map[uint32]struct{}),
		cfg: cfg, policy: rules,
		known: make(map[inode]fact), files: make(map[inode]*entry),
		processes: make(map[uint32]*process), containers: make(map[string]*container),
		follow: make(map[*process]struct{}),
		stuck:  make(map[uint64]int), good: make(map[uint64]bool),
		nobody: &process{container: &container{}}, buffer: make([]byte, 64<<10), listing: make([]byte, 64<<10),
	}
	if err := d.openRoot(); err != nil {
		return nil, err
	}
	if d.proc, err = os.Open("/proc"); err != nil {
		d.root.Close()
		return nil, fmt.Errorf("list processes: %w", err)
	}
	d.load = openLoad()
	d.maxWatched = 4096
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err == nil {
		d.maxWatched = int(min(limit.Cur/2, 32768))
	}
	if d.changed != nil {
		d.maxWatched = 0
	}
	return d, nil
}

// openLoad opens /proc/loadavg, unless something like lxcfs is put over it.
func openLoad() *os.File {
	const path = "/proc/loadavg"
	file, _, _, err := statNow(path)
	folder, _, _, err2 := statNow("/proc")
	if err != nil || err2 != nil || file.device != folder.device {
		return nil
	}
	load, err := os.Open(path)
	if err != nil {
		return nil
	}
	return load
}

// openRoot opens the host's root folder and notes its mount namespace.
func (d *Discoverer) openRoot() error {
	paths := []string{d.cfg.Root}
	if d.cfg.Root == "" {
		paths = []string{"/proc/1/root", "/"}
	}
	var errs []error
	for _, path := range paths {
		fd, err := open(path, unix.O_PATH|unix.O_DIRECTORY)
		if err != nil {
			errs = append(errs, fmt.Errorf("open host's root %s: %w", path, err))
			continue
		}
		d.root = os.NewFile(uintptr(fd), path)
		d.hostRoot.path = descriptorPath(fd)
		if told, err := readLink(d.hostRoot.path); err == nil && told != "/" {
			d.hostRoot.base = told
		}
		owner := "/proc/self/ns/mnt"
		if path == "/proc/1/root" {
			owner = "/proc/1/ns/mnt"
		}
		d.hostSpace = namespace(owner)
		return nil
	}
	return errors.Join(errs...)
}

// Close waits for Scan and Run to return and releases all files. A helper thread that waits for a file system that
// does not answer stays until it does. Closing again does nothing.
func (d *Discoverer) Close() error {
	d.scanning.Lock()
	defer d.scanning.Unlock()
	if d.closed {
		return nil
	}
	d.closed = true
	d.helper.close()
	d.mu.Lock()
	defer d.mu.Unlock()
	var errs []error
	for _, e := range d.files {
		if e.open != nil {
			errs = append(errs, e.open.Close())
		}
	}
	for _, e := range d.events {
		if e.gone {
			errs = append(errs, e.entry.open.Close())
		}
	}
	for _, p := range d.processes {
		d.unwatch(p)
	}
	if d.load != nil {
		errs = append(errs, d.load.Close())
	}
	return errors.Join(append(errs, d.root.Close(), d.proc.Close())...)
}

// Reload changes the patterns, the limits, Libraries and Enabled to those of
// cfg; its other fields are ignored. Files that are not wanted any more are
// reported as gone, others that now are wanted as found, by Run or the next
// Scan; those that stay are not touched.
func (d *Discoverer) Reload(cfg Config) error {
	cfg.setDefaults()
	rules, err := newPolicy(&cfg)
	if err != nil {
		return err
	}
	d.mu.Lock()
	d.reload = &reload{cfg, rules}
	d.mu.Unlock()
	d.nudge()
	return nil
}

// applyReload does what Reload asked for.
func (d *Discoverer) applyReload() {
	if d.reload == nil {
		return
	}
	d.cfg, d.policy = d.reload.cfg, d.reload.policy
	d.reload = nil
	d.disk = disk{}
	for _, e := range d.files {
		e.explicit = false // unless the path still leads there
	}
	d.searchLibraries()
	for _, e := range d.files {
		if e.refused != "" || !e.explicit && !d.wants(e.Path) {
			d.retire(e)
		}
	}
	for _, p := range d.processes {
		p.due = time.Time{}
		d.release(p)
		d.revisit(p)
	}
}

// wants says whether a file with that path may be looked at.
func (d *Discoverer) wants(path string) bool { return d.cfg.Enabled && d.policy.allows(path) }

// nudge wakes Run up.
func (d *Discoverer) nudge() {
	select {
	case d.wake <- struct{}{}:
	default: // it will wake up anyway
	}
}

// deliver calls Found and Gone for what is due.
func (d *Discoverer) deliver() {
	for {
		d.mu.Lock()
		if len(d.events) == 0 {
			d.mu.Unlock()
			return
		}
		due := d.events
		d.events = nil
		d.mu.Unlock()
		for _, e := range due {
			start := time.Now()
			switch {
			case !e.gone && d.found != nil:
				d.found(&e.entry.File)
			case e.gone && d.gone != nil:
				d.gone(e.entry.Key)
			}
			if e.gone {
				e.entry.open.Close()
			}
			// Who has files come and go pays for attaching and detaching.
			d.mu.Lock()
			e.entry.owner.spent += time.Since(start)
			d.mu.Unlock()
		}
	}
}
