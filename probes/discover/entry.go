// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"reflect"
	"time"

	"golang.org/x/sys/unix"

	"github.com/crau-otel/crau-otel/probes/host"
	"github.com/crau-otel/crau-otel/probes/untraced"
)

// entry is a file with probes, whether reported or refused.
type entry struct {
	File
	sites           int
	status          unix.Stat_t // when it was read
	buildID, soname string
	problems        []error

	refused  string          // why it is not reported
	reason   untraced.Reason // the kind of that
	limited  *bound          // refused because of it, so that it may be reported later; else nil
	order    uint64          // of being reported
	explicit bool            // one of Rules.Libraries
	retired  bool
	unread   bool            // it was never opened: whether it has probes is not known
	failure  string          // why it could not be attached
	failed   untraced.Reason // the kind of that

	finder    *finder // whose limits it counts against
	owner     *owner  // of the finder when the file was learned of
	namespace uint64  // mount namespace of the process it was first seen in, 0 for the host's disk
	base      string  // of that process's root folder, see host.Root

	mappers int          // processes that map it
	aliases []host.Inode // that are known to be this file
	checked time.Time    // when its path was last resolved
}

// inode returns where the catalogue has the entry.
func (e *entry) inode() host.Inode { return host.Inode{Device: e.Key.Device, Number: e.Key.Inode} }

// likeness is what an entry has in common with another one that was read from the same inode later.
type likeness int

const (
	different likeness = iota
	rejudged           // the content is the same, but not what is known about who can write it
	same
)

// compare compares an entry with other, which was read from the same inode later.
func (e *entry) compare(other *entry) likeness {
	unwritten := e.status.Mtim == other.status.Mtim && e.status.Size == other.status.Size
	switch {
	case other.refused != "" || e.buildID != other.buildID || !reflect.DeepEqual(e.Probes.Sites, other.Probes.Sites):
		return different
	case e.trusts(other) && (unwritten || e.buildID != ""):
		return same
	case unwritten:
		return rejudged
	}
	return different
}

// trusts reports whether what is known about who can write the file stays valid. While the inode does not change, the best
// that a path to it shows is true for all: another path, such as one through an overlay that a user has mounted, takes
// nothing away.
func (e *entry) trusts(other *entry) bool {
	if e.status.Ctim == other.status.Ctim {
		return other.trustworthiness() <= e.trustworthiness()
	}
	return other.Trusted == e.Trusted && other.Namespaced == e.Namespaced
}

// trustworthiness orders what paths show about a file: 2 if only the host's root can write it, 1 if only root of another
// mount namespace can.
func (e *entry) trustworthiness() int {
	switch {
	case !e.Trusted:
		return 0
	case e.Namespaced:
		return 1
	}
	return 2
}

// refuse notes why a file that is being looked at is not to be reported.
func (e *entry) refuse(reason untraced.Reason, err error) {
	if e.refused == "" {
		e.reason, e.refused = reason, err.Error()
	}
}

// whyUntraced returns why a file is not traced, or only in part; "" if it is.
func (e *entry) whyUntraced() (untraced.Reason, string) {
	switch {
	case e.refused != "":
		return e.reason, e.refused
	case e.failed != "":
		return e.failed, e.failure
	case len(e.problems) > 0:
		return untraced.BadSites, "some of its sites are skipped"
	}
	return "", ""
}

// finding is what looking at a file has found.
type finding struct {
	inode   host.Inode
	changed int64
	entry   *entry // nil if the file has no probes
	written bool   // somebody has the file open for writing
	reason  error  // why it has none
	err     error  // the file could not be examined; nothing else is set then
}

// discard closes what the finding holds open.
func (f *finding) discard() {
	if f.entry != nil && f.entry.open != nil {
		f.entry.open.Close()
	}
}
