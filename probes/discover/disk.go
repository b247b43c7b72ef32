// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"errors"
	"hash/fnv"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/crau-otel/crau-otel/limits"
	"github.com/crau-otel/crau-otel/probes/discover/loader"
	"github.com/crau-otel/crau-otel/probes/host"
)

const (
	settleTime     = 3 * time.Second // a file that was changed more recently may not be complete yet
	maxFolderNames = 1 << 16
)

// disk looks for files with probes on the host's disk: the libraries that are always reported, and what lies in the
// library folders.
type disk struct {
	search      *search
	finder      finder
	cache       stamp    // of the loader's cache
	cached      []string // folders that the loader's cache names
	folders     map[host.Inode]*folder
	lastProblem map[string]string // of the libraries that are always reported
}

// stamp identifies a version of a file or folder: it changes when that does.
type stamp struct {
	inode   host.Inode
	changed int64
}

// folder is a library folder.
type folder struct {
	stamp stamp
	again time.Time // when to look once more although it did not change
}

// libraryFolders are the folders that loaders search by default. Multiarch folders below them come on top.
var libraryFolders = [...]string{"/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/usr/local/lib64"}

func newDisk(s *search) *disk {
	return &disk{
		search: s, finder: finder{owner: &owner{name: "the host's disk", class: limits.ClassRoot, isDisk: true}, isDisk: true},
		folders: make(map[host.Inode]*folder), lastProblem: make(map[string]string),
	}
}

// searchLibraries looks for the files that are always reported.
func (d *disk) searchLibraries() {
	found, mounts := make(map[*entry]bool), host.NewMountKinds()
	var questions []*host.Question
	for _, library := range d.search.rules.Libraries {
		status, err := host.CachedStatus(library)
		if err != nil {
			d.warn(library, err)
			continue
		}
		if f, ok := d.search.catalogue.facts[status.Inode]; ok && f.changed == status.Changed && (f.entry == nil || f.entry.limited == nil) {
			if f.entry != nil {
				f.entry.explicit = true
				found[f.entry] = true
			}
			continue
		}
		at := sighting{link: library, path: library, root: host.Root{Path: "/"}, hostRoot: d.search.view.root}
		var f finding
		questions = append(questions, &host.Question{
			Subject: unknownDevice(library), // a file system that hangs must not delay the other libraries
			Ask:     func() { f = at.look(mounts) },
			Answered: func() {
				switch {
				case f.err != nil:
					d.warn(library, f.err)
				case f.entry == nil:
					d.warn(library, f.reason)
				case f.entry.refused != "":
					d.warn(library, errors.New(f.entry.refused))
				}
				if f.err == nil {
					found[d.search.learn(f, &d.finder, true)] = true
				}
			},
		})
	}
	d.search.helpers.Ask(questions...)
	for _, e := range d.search.catalogue.files {
		e.explicit = e.explicit && found[e]
	}
}

// warn logs once that a library cannot be attached.
func (d *disk) warn(library string, err error) {
	if _, warned := d.lastProblem[library]; !warned {
		d.lastProblem[library] = err.Error()
		d.search.log.Warn("no probes attached", "file", library, "error", err)
	}
}

// unknownDevice returns a subject that stands for the file system of a path, which is not known.
func unknownDevice(path string) host.Subject {
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(path))
	return host.Subject{Device: hash.Sum64() | 1<<63}
}

// searchFolders looks into the library folders that have changed.
func (d *disk) searchFolders(now time.Time) {
	d.readCache()
	for _, name := range slices.Concat(libraryFolders[:], d.cached) {
		d.searchFolder(name, now)
	}
}

// lookAgain makes the next pass look into all folders.
func (d *disk) lookAgain(now time.Time) {
	for _, f := range d.folders {
		f.again = now
	}
}

// readCache reads the loader's cache if it has changed.
func (d *disk) readCache() {
	root := d.search.view.root
	fd, err := root.Find(root.Base + loader.CachePath)
	if err != nil {
		return // musl has none
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		return
	}
	now := stamp{host.Inode{Device: st.Dev, Number: st.Ino}, st.Ctim.Nano()}
	if now == d.cache {
		return
	}
	d.cache = now
	if st.Size > loader.MaxCacheSize {
		d.search.log.Warn("loader's cache is too large to read", "size", st.Size)
		return
	}
	data, err := os.ReadFile(host.DescriptorPath(fd))
	if err != nil {
		d.search.log.Warn("loader's cache not read", "error", err)
		return
	}
	cache, err := loader.ParseCache(data)
	if err != nil {
		d.search.log.Warn("loader's cache not read", "error", err)
		return
	}
	d.cached = cache.Folders()
}

// searchFolder examines the new libraries of a folder, if the folder has changed.
func (d *disk) searchFolder(name string, now time.Time) {
	root := d.search.view.root
	fd, err := root.Find(root.Base + name)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return
	}
	current := stamp{host.Inode{Device: st.Dev, Number: st.Ino}, st.Ctim.Nano()}
	f := d.folders[current.inode]
	if f == nil {
		if len(d.folders) >= loader.MaxFolders {
			return
		}
		f = &folder{}
		d.folders[current.inode] = f
	}
	if f.stamp == current && (f.again.IsZero() || now.Before(f.again)) {
		return
	}
	if where, _, err := host.PathOf(fd); err == nil {
		name = root.Within(where) // patterns are compared with the path without links
	}
	f.stamp, f.again = current, time.Time{}
	if time.Unix(0, current.changed).Add(settleTime).After(now) {
		f.again = now.Add(settleTime / 2)
	}
	dir, err := host.Open(host.DescriptorPath(fd), unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return
	}
	listing := os.NewFile(uintptr(dir), name)
	defer listing.Close()
	entries, _ := listing.ReadDir(maxFolderNames)
	var questions []*host.Question
	mounts := host.NewMountKinds()
	for _, e := range entries {
		file := path.Join(name, e.Name())
		switch {
		case e.IsDir() && isTriplet(e.Name()):
			d.searchFolder(file, now)
		case !strings.Contains(e.Name(), ".so"):
		case e.Type()&os.ModeSymlink != 0:
			target, err := host.ReadLink(host.DescriptorPath(dir) + "/" + e.Name())
			if err == nil && strings.Contains(target, "/") { // else the target is listed itself
				questions = append(questions, d.lookAt(file, unknownDevice(file), mounts))
			}
		case e.Type().IsRegular():
			if subject, unknown := d.isUnknown(f, file, host.DescriptorPath(dir)+"/"+e.Name(), now); unknown {
				questions = append(questions, d.lookAt(file, subject, mounts))
			}
		}
	}
	d.search.helpers.Ask(questions...)
}

// isTriplet reports whether a folder is one of Debian's multiarch folders, such as x86_64-linux-gnu.
func isTriplet(name string) bool {
	return strings.Contains(name, "-linux-gnu") || strings.Contains(name, "-linux-musl")
}

// isUnknown reports whether the file that link leads to must be examined, and the subject of that question.
func (d *disk) isUnknown(in *folder, file, link string, now time.Time) (host.Subject, bool) {
	if !d.search.rules.examines(file) {
		return host.Subject{}, false
	}
	status, err := host.CachedStatus(link)
	if err != nil || !status.Regular {
		return host.Subject{}, false
	}
	if time.Unix(0, status.Changed).Add(settleTime).After(now) {
		in.again = now.Add(settleTime / 2) // it may still be written to
	}
	_, known := d.search.catalogue.recall(status.Inode, status.Changed, &d.finder)
	return host.Subject{Device: status.Inode.Device}, !known
}

// lookAt returns the question what is in a file of the host's disk.
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
