// SPDX-License-Identifier: Apache-2.0

package attach

import (
	"errors"
	"os"
	"reflect"
	"time"

	"golang.org/x/sys/unix"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/leases"
	"github.com/crau-otel/crau-otel/probes"
	"github.com/crau-otel/crau-otel/probes/discover"
)

const (
	// maxWriterWait bounds how long a process that wants to write to an attached file has to wait. The kernel needs about
	// 30 ms to detach the file.
	maxWriterWait = time.Second
	// writerPoll is the interval at which waitUntilDetached checks for breakpoints.
	writerPoll = time.Millisecond
)

// guard takes a lease, so that no process can write to a file while it is attached. It returns false if a process has
// the file open for writing, or if the file has changed since discovery read it: its sites may then be elsewhere.
func (a *Files) guard(f *discover.File, file *attached, content *os.File) bool {
	lease, err := a.leases.Take(content, func(l *leases.Lease) { a.giveWay(f.Key, file, l) })
	switch {
	case errors.Is(err, leases.ErrWritten):
		return false
	case err != nil:
		a.log.Debug("file is attached without a lease; if it is overwritten, that is noticed late", "file", f.Path, "error", err)
	default:
		file.lease = lease
	}
	return isUnchanged(f, content)
}

// isUnchanged reports whether a file is the same as when discovery read it. If f.Fresh is set, the change time is not
// sufficient to decide that, and the sites are compared as well.
func isUnchanged(f *discover.File, content *os.File) bool {
	var st unix.Stat_t
	if unix.Fstat(int(content.Fd()), &st) != nil || st.Ctim.Nano() != f.Key.Changed {
		return false
	}
	if !f.Fresh {
		return true
	}
	now, err := probes.Read(content, st.Size, f.Path)
	return err == nil && reflect.DeepEqual(now.Sites, f.Probes.Sites)
}

// giveWay detaches a file because a process waits to write to it. The process continues once breakpoints are no longer
// inserted into the file. Discovery then reads the file again.
func (a *Files) giveWay(key discover.Key, file *attached, lease *leases.Lease) {
	a.log.Info("attached file is about to be overwritten; it is detached, and read again as a new file", "file", file.path)
	a.Remove(key)
	deadline := time.After(maxWriterWait)
	select {
	case <-file.ended:
		waitUntilDetached(file, lease.File(), deadline)
	case <-deadline: // attaching takes too long
	}
	lease.Release()
	a.readAgain(key)
}

// waitUntilDetached waits until the kernel no longer inserts breakpoints into mappings of the file. It gives up at the
// deadline, because the breakpoints of another tracer remain.
func waitUntilDetached(file *attached, content *os.File, deadline <-chan time.Time) {
	for {
		if n, err := probes.CountBreakpoints(content, file.sites); n == 0 || err != nil {
			return
		}
		select {
		case <-time.After(writerPoll):
		case <-deadline:
			return
		}
	}
}

// Use sets the discovery to which a Files reports which files must be read again, and which cannot be attached.
func (a *Files) Use(found *discover.Discoverer) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.found = found
}

func (a *Files) discoverer() *discover.Discoverer {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.found
}

// readAgain makes discovery read a file again, as a new file.
func (a *Files) readAgain(key discover.Key) {
	if found := a.discoverer(); found != nil {
		found.Reread(key)
	}
}
