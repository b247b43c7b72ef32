// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/crau-otel/crau-otel/limits"
	"github.com/crau-otel/crau-otel/probes/discover/loader"
	"github.com/crau-otel/crau-otel/probes/host"
)

const (
	settleTime     = 3 * time.Second // a file or folder that was changed more recently may still be written to
	maxFolderNames = 1 << 16         // names that are read from one folder
)

// disk looks for files with probes on the host's disk: in the files of Rules.Libraries, and in the library folders.
type disk struct {
	search    *search
	finder    finder
	cache     stamp    // version of glibc's cache of libraries that was last read
	cached    []string // folders that the cache names
	multiarch []string // multiarch folders that were found in other folders
	folders   map[host.Inode]*folder
	libraries map[string]*entry // entries of Rules.Libraries, by path; nil if a file is missing or has no probes
	warned    map[string]bool   // libraries and folders for which a problem was logged
}

// folder is a library folder.
type folder struct {
	stamp     stamp     // version that was last searched
	recheckAt time.Time // when to search the folder again although it has not changed; zero if never
}

// libraryFolders are the folders that loaders search by default. Multiarch folders below them are searched too.
var libraryFolders = [...]string{"/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/usr/local/lib64"}

func newDisk(s *search) *disk {
	return &disk{
		search: s, finder: finder{owner: &owner{name: "the host's disk", class: limits.ClassRoot, isDisk: true}, isDisk: true},
		folders: make(map[host.Inode]*folder), libraries: make(map[string]*entry), warned: make(map[string]bool),
	}
}

// unknownDevice returns the subject for questions about a path whose device number is unknown.
func unknownDevice(path string) host.Subject {
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(path))
	return host.Subject{Device: hash.Sum64() | 1<<63}
}

// errSilent is the reason for skipping a file or folder whose file system does not answer.
var errSilent = errors.New("its file system does not answer")

// isFirst records a problem with a library or folder, and reports whether it is the first one. Only the first one is
// logged.
func (d *disk) isFirst(name string) bool {
	first := !d.warned[name]
	d.warned[name] = true
	return first
}

// skip logs, once, that a folder is skipped.
func (d *disk) skip(name string, err error) {
	if d.isFirst(name) {
		d.search.log.Warn("library folder not searched", "folder", name, "error", err)
	}
}

// searchFolders examines new libraries in the library folders that have changed.
func (d *disk) searchFolders(now time.Time) {
	d.readCache()
	d.searchAll(slices.Concat(libraryFolders[:], d.cached, d.multiarch), now)
}

// lookAgain makes the next pass search all folders, even those that have not changed.
func (d *disk) lookAgain(now time.Time) {
	for _, f := range d.folders {
		f.recheckAt = now
	}
}

// readCache reads glibc's cache of libraries if it has changed.
func (d *disk) readCache() {
	before := d.cache
	now, folders := before, []string(nil)
	var problem error
	d.search.helpers.Ask(&host.Question{
		Subject: unknownDevice(loader.CachePath),
		Ask:     func() { now, folders, problem = readCache(d.search.view.root, before) },
		Answered: func() {
			if problem != nil {
				d.search.log.Warn("loader's cache not read", "error", problem)
			} else if now != before {
				d.cached = folders
			}
			d.cache = now
		},
	})
}

// readCache returns the version of glibc's cache of libraries. If it differs from before, readCache also returns the
// folders that the cache names.
func readCache(root host.Root, before stamp) (now stamp, folders []string, err error) {
	fd, err := root.Find(root.Base + loader.CachePath)
	if err != nil {
		return before, nil, nil //nolint:nilerr // there is no cache with musl
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		return before, nil, nil //nolint:nilerr // the same as a missing cache
	}
	now = stampOf(&st)
	if now == before {
		return now, nil, nil
	}
	if st.Size > loader.MaxCacheSize {
		return now, nil, fmt.Errorf("it has %d bytes, at most %d are read", st.Size, loader.MaxCacheSize)
	}
	data, err := os.ReadFile(host.DescriptorPath(fd))
	if err != nil {
		return now, nil, err
	}
	cache, err := loader.ParseCache(data)
	if err != nil {
		return now, nil, err
	}
	return now, cache.Folders(), nil
}

// searchAll examines new libraries in those of the named folders that have changed.
func (d *disk) searchAll(names []string, now time.Time) {
	var questions []*host.Question
	answered := make(map[string]bool)
	for _, name := range names {
		var current stamp
		var ok bool
		questions = append(questions, &host.Question{
			Subject: unknownDevice(name),
			Ask:     func() { current, ok = findFolder(d.search.view.root, name) },
			Answered: func() {
				answered[name] = true
				if ok && d.search.disk == d && d.changed(current, now) {
					d.searchFolder(name, now)
				}
			},
		})
	}
	d.search.helpers.Ask(questions...)
	for _, name := range names {
		if !answered[name] {
			d.skip(name, errSilent)
		}
	}
}

// changed reports whether a folder must be searched: it is new, it has changed, or recheckAt has passed.
func (d *disk) changed(current stamp, now time.Time) bool {
	f := d.folder(current.inode)
	return f != nil && (f.stamp != current || !f.recheckAt.IsZero() && !now.Before(f.recheckAt))
}

// folder returns the state of a folder, which may be new. It returns nil if there are too many folders.
func (d *disk) folder(inode host.Inode) *folder {
	f := d.folders[inode]
	if f == nil && len(d.folders) < loader.MaxFolders {
		f = &folder{}
		d.folders[inode] = f
	}
	return f
}

// findFolder returns the version of a folder. ok is false if there is no folder with that name.
func findFolder(root host.Root, name string) (current stamp, ok bool) {
	fd, err := root.Find(root.Base + name)
	if err != nil {
		return stamp{}, false
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return stamp{}, false
	}
	return stampOf(&st), true
}

// searchFolder examines the new libraries of a folder.
func (d *disk) searchFolder(name string, now time.Time) {
	list := &listing{root: d.search.view.root, rules: d.search.rules}
	q := &host.Question{Subject: unknownDevice(name)}
	var err error
	answered := false
	q.Ask = func() { err = list.read(name, q.Step) }
	q.Answered = func() {
		answered = true
		if f := d.folder(list.stamp.inode); err == nil && f != nil && d.search.disk == d {
			d.apply(f, list, now)
		}
	}
	d.search.helpers.Ask(q)
	if !answered {
		d.skip(name, errSilent)
	}
}

// apply examines the new libraries of a folder, and searches its new multiarch folders.
func (d *disk) apply(f *folder, list *listing, now time.Time) {
	f.stamp, f.recheckAt = list.stamp, time.Time{}
	// settles schedules another search if a file or folder was changed so recently that it may still be written to.
	settles := func(changed int64) {
		if time.Unix(0, changed).Add(settleTime).After(now) {
			f.recheckAt = now.Add(settleTime / 2)
		}
	}
	settles(list.stamp.changed)
	var questions []*host.Question
	mounts := host.NewMountKinds()
	for _, l := range list.libraries {
		if l.isLink {
			questions = append(questions, d.lookAt(l.path, unknownDevice(l.path), mounts))
			continue
		}
		settles(l.status.Changed)
		if _, known := d.search.catalogue.recall(l.status.Inode, l.status.Changed, &d.finder); !known {
			questions = append(questions, d.lookAt(l.path, host.Subject{Device: l.status.Inode.Device}, mounts))
		}
	}
	d.search.helpers.Ask(questions...)
	var fresh []string
	for _, name := range list.multiarch {
		if !slices.Contains(d.multiarch, name) && len(d.multiarch) < loader.MaxFolders {
			d.multiarch = append(d.multiarch, name)
			fresh = append(fresh, name)
		}
	}
	if len(fresh) > 0 {
		d.searchAll(fresh, now)
	}
}

// lookAt returns the question for the helpers that examines a file on the host's disk.
func (d *disk) lookAt(file string, subject host.Subject, mounts *host.MountKinds) *host.Question {
	root := d.search.view.root
	at := sighting{path: root.Base + file, root: root, hostRoot: root}
	var f finding
	return &host.Question{
		Subject: subject,
		Ask:     func() { f = at.look(mounts) },
		Answered: func() {
			switch {
			case f.err != nil:
			case f.entry != nil && !d.search.rules.examines(f.entry.Path):
				f.discard()
			default:
				d.search.learn(f, &d.finder, false)
			}
		},
	}
}
