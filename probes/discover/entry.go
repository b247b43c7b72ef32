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
	status          unix.Stat_t // at the time it was read
	buildID, soname string
	problems        []error

	refused  string          // why the file is not reported; "" if it is
	reason   untraced.Reason // category of refused
	limited  *bound          // limit that keeps the file from being reported until there is room; nil if none does
	order    uint64          // position in the order of reporting
	explicit bool            // the file is named in Rules.Libraries
	retired  bool
	unread   bool            // the file was never opened, so it is unknown whether it has probes
	failure  string          // why attaching failed; "" if it did not
	failed   untraced.Reason // category of failure

	finder    *finder // process or disk that the file was found in, against whose limits it counts
	owner     *owner  // owner of the finder when the file was found
	namespace uint64  // mount namespace of the process in which it was first seen, 0 for the host's disk
	base      string  // base of that process's root folder, see host.Root

	mappers int          // number of processes that map it
	aliases []host.Inode // inodes that are known to be this file too
	checked time.Time    // when the path was last resolved
}

// inode returns the inode under which the catalogue stores the entry.
func (e *entry) inode() host.Inode { return host.Inode{Device: e.Key.Device, Number: e.Key.Inode} }

// likeness describes how an entry compares to another one that was read from the same inode later.
type likeness int

const (
	different likeness = iota
	rejudged           // the content is the same, but who can write the file has changed
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

// trusts reports whether Trusted and Namespaced stay as they are after other was read. As long as the inode does not
// change, the most trusted path to it decides: another path, such as one through an overlay that a user has mounted,
// does not reduce the trust.
func (e *entry) trusts(other *entry) bool {
	if e.status.Ctim == other.status.Ctim {
		return other.trustworthiness() <= e.trustworthiness()
	}
	return other.Trusted == e.Trusted && other.Namespaced == e.Namespaced
}

// trustworthiness ranks a file: 2 if only the host's root can write it, 1 if only the root of another mount namespace
// can, else 0.
func (e *entry) trustworthiness() int {
	switch {
	case !e.Trusted:
		return 0
	case e.Namespaced:
		return 1
	}
	return 2
}

// refuse records why a file that is being examined must not be reported. Only the first reason is kept.
func (e *entry) refuse(reason untraced.Reason, err error) {
	if e.refused == "" {
		e.reason, e.refused = reason, err.Error()
	}
}

// whyUntraced returns why a file is not traced, or only in part. Both results are "" if it is traced completely.
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

// finding is the result of examining a file.
type finding struct {
	inode   host.Inode
	changed int64  // change time (ctime) in nanoseconds since 1970, or undated
	entry   *entry // nil if the file has no probes
	written bool   // somebody has the file open for writing
	reason  error  // why there is no entry
	err     error  // why the file could not be examined; no other field is set then
}

// discard closes the file that the finding holds open.
func (f *finding) discard() {
	if f.entry != nil && f.entry.open != nil {
		f.entry.open.Close()
	}
}
