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
	// maxWriterWait is how long a writer waits for the file to be detached. The kernel needs about 30 ms for that.
	maxWriterWait = time.Second
	// writerPoll is the interval of checks whether it is detached.
	writerPoll = time.Millisecond
)

// guard takes a lease so that nobody can write to a file while it is attached. It returns false if the file is being
// written to, or was since it was read: its sites may have moved.
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

// isUnchanged reports whether a file has not changed since it was read.
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

// giveWay detaches a file because somebody waits to write to it. It lets the writer continue once processes get no
// breakpoint any more. Discovery reads the file again.
func (a *Files) giveWay(key discover.Key, file *attached, lease *leases.Lease) {
	a.log.Info("attached file is about to be overwritten; it is detached, and read again as a new file", "file", file.path)
	a.Remove(key)
	deadline := time.After(maxWriterWait)
	select {
	case <-file.ended:
		waitUntilDetached(file, lease.File(), deadline)
	case <-deadline: // attaching hangs
	}
	lease.Release()
	a.readAgain(key)
}

// waitUntilDetached waits until a process that maps the file gets no breakpoint, or for the deadline: breakpoints of
// another tracer remain.
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

// Use sets the discovery that reads files again on request, and that records which files cannot be attached.
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

// readAgain makes discovery read a file again.
func (a *Files) readAgain(key discover.Key) {
	if found := a.discoverer(); found != nil {
		found.Reread(key)
	}
}
