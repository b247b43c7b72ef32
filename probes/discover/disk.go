// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	maxFolders     = 256
	maxCacheSize   = 16 << 20
	settle         = 3 * time.Second // after which a file is taken to be written completely
	cachePath      = "/etc/ld.so.cache"
	maxFolderNames = 1 << 16
)

// disk is what was seen of the host's library folders.
type disk struct {
	cache   stamp
	dirs    []string // that the loader's cache names
	folders map[inode]*folder
	warned  map[string]bool // libraries that were found to be of no use
}

// stamp changes with a file or folder.
type stamp struct {
	inode   inode
	changed int64
}

// folder is a library folder.
type folder struct {
	stamp stamp
	again time.Time // when to look once more although it did not change
}

// libraryFolders are where loaders look without being told; multiarch folders
// below them come on top.
var libraryFolders = [...]string{"/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/usr/local/lib64"}

// searchLibraries looks for the files that are always to be reported.
func (d *Discoverer) searchLibraries() {
	if d.disk.warned == nil {
		d.disk.warned = make(map[string]bool)
	}
	there, kinds := make(map[*entry]bool), newMountKinds()
	var tasks []*task
	for _, library := range d.cfg.Libraries {
		i, changed, _, err := statNow(library)
		if err != nil {
			d.warn(library, err)
			continue
		}
		if f, ok := d.known[i]; ok && f.changed == changed && (f.entry == nil || !f.entry.limited) {
			if f.entry != nil {
				f.entry.explicit = true
				there[f.entry] = true
			}
			continue
		}
		s := sighting{link: library, path: library, root: root{path: "/"}, host: d.hostRoot}
		var found finding
		tasks = append(tasks, &task{
			device: nameHash(library), // a file system that hangs must not delay the other libraries
			run:    func() { found = s.look(kinds) },
			then: func() {
				switch {
				case found.err != nil:
					d.warn(library, found.err)
				case found.entry == nil:
					d.warn(library, found.why)
				case found.entry.refused != "":
					d.warn(library, errors.New(found.entry.refused))
				}
				if found.err == nil {
					there[d.learn(found, d.nobody, true)] = true
				}
			},
		})
	}
	d.perform(tasks)
	for _, e := range d.files {
		e.explicit = e.explicit && there[e]
	}
}

// warn logs once that a library is of no use.
func (d *Discoverer) warn(library string, err error) {
	if !d.disk.warned[library] {
		d.disk.warned[library] = true
		d.log.Warn("no probes attached", "file", library, "error", err)
	}
}

// nameHash returns a number that stands for a path, and is no device's.
func nameHash(path string) uint64 {
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(path))
	return hash.Sum64() | 1<<63
}

// searchDisk looks into the library folders that have changed.
func (d *Discoverer) searchDisk(now time.Time) {
	if d.disk.folders == nil {
		d.disk.folders = make(map[inode]*folder)
	}
	d.readCache()
	names := slices.Concat(libraryFolders[:], d.disk.dirs)
	for _, name := range names {
		d.searchFolder(name, now)
	}
}

// readCache reads the loader's cache if it has changed.
func (d *Discoverer) readCache() {
	fd, err := d.hostRoot.find(d.hostRoot.base + cachePath)
	if err != nil {
		return // musl has none
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		return
	}
	now := stamp{inode{st.Dev, st.Ino}, st.Ctim.Nano()}
	if now == d.disk.cache {
		return
	}
	d.disk.cache = now
	if st.Size > maxCacheSize {
		d.log.Warn("loader's cache not read", "size", st.Size)
		return
	}
	data, err := os.ReadFile(descriptorPath(fd))
	if err == nil {
		d.disk.dirs, err = cachedFolders(data)
	}
	if err != nil {
		d.log.Warn("loader's cache not read", "error", err)
	}
}

// cachedFolders returns the folders of the libraries in a loader's cache of
// glibc: struct cache_file_new of sysdeps/generic/dl-cache.h.
func cachedFolders(data []byte) ([]string, error) {
	const (
		magic      = "glibc-ld.so.cache1.1"
		headerSize = 48
		entrySize  = 24
	)
	// Up to glibc 2.31, an older format comes first, which ends where the new
	// one begins.
	if !strings.HasPrefix(string(data[:min(len(data), len(magic))]), magic) {
		_, rest, ok := strings.Cut(string(data), magic)
		if !ok {
			return nil, errors.New("unknown format")
		}
		data = []byte(magic + rest)
	}
	if len(data) < headerSize {
		return nil, errors.New("header is incomplete")
	}
	count := uint64(binary.NativeEndian.Uint32(data[20:]))
	if count*entrySize > uint64(len(data)-headerSize) {
		return nil, fmt.Errorf("%d entries do not fit into %d bytes", count, len(data))
	}
	var folders []string
	seen := make(map[string]bool)
	for i := range count {
		at := binary.NativeEndian.Uint32(data[headerSize+i*entrySize+8:])
		if uint64(at) >= uint64(len(data)) {
			continue
		}
		text := data[at:min(uint64(at)+unix.PathMax, uint64(len(data)))]
		end := slices.Index(text, 0)
		if end < 0 {
			continue
		}
		name := path.Dir(string(text[:end]))
		if path.IsAbs(name) && !seen[name] && len(folders) < maxFolders {
			seen[name] = true
			folders = append(folders, name)
		}
	}
	return folders, nil
}

// searchFolder looks at the libraries of a folder that are not known yet, if
// it has changed.
func (d *Discoverer) searchFolder(name string, now time.Time) {
	fd, err := d.hostRoot.find(d.hostRoot.base + name)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return
	}
	at, have := inode{st.Dev, st.Ino}, stamp{inode{st.Dev, st.Ino}, st.Ctim.Nano()}
	f := d.disk.folders[at]
	if f == nil {
		if len(d.disk.folders) >= maxFolders {
			return
		}
		f = &folder{}
		d.disk.folders[at] = f
	}
	if f.stamp == have && (f.again.IsZero() || now.Before(f.again)) {
		return
	}
	if where, _, err := pathOf(fd); err == nil {
		name = d.hostRoot.within(where) // what patterns are about
	}
	f.stamp, f.again = have, time.Time{}
	if time.Unix(0, have.changed).Add(settle).After(now) {
		f.again = now.Add(settle / 2)
	}
	dir, err := open(descriptorPath(fd), unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return
	}
	listing := os.NewFile(uintptr(dir), name)
	defer listing.Close()
	entries, _ := listing.ReadDir(maxFolderNames)
	var tasks []*task
	kinds := newMountKinds()
	for _, e := range entries {
		file := path.Join(name, e.Name())
		switch {
		case e.IsDir() && isTriplet(e.Name()):
			d.searchFolder(file, now)
		case !strings.Contains(e.Name(), ".so"):
		case e.Type()&os.ModeSymlink != 0:
			target, err := readLink(descriptorPath(dir) + "/" + e.Name())
			if err == nil && strings.Contains(target, "/") { // else it is listed itself
				tasks = d.addFile(tasks, f, file, "", now, kinds)
			}
		case e.Type().IsRegular():
			tasks = d.addFile(tasks, f, file, descriptorPath(dir)+"/"+e.Name(), now, kinds)
		}
	}
	d.perform(tasks)
}

// isTriplet says whether a folder is one of Debian's multiarch folders, such
// as x86_64-linux-gnu.
func isTriplet(name string) bool {
	return strings.Contains(name, "-linux-gnu") || strings.Contains(name, "-linux-musl")
}

// addFile adds a task to look at a file, unless it is known. Where link is
// empty, nothing is known of it but its path on the host.
func (d *Discoverer) addFile(tasks []*task, in *folder, file, link string, now time.Time, kinds *mountKinds) []*task {
	device := nameHash(file)
	if link != "" {
		if !d.wants(file) {
			return tasks
		}
		i, changed, regular, err := statNow(link)
		if err != nil || !regular {
			return tasks
		}
		if time.Unix(0, changed).Add(settle).After(now) {
			in.again = now.Add(settle / 2) // it may still be written to
		}
		if _, known := d.recall(i, changed, d.nobody); known {
			return tasks
		}
		device = i.device
	}
	s := sighting{path: d.hostRoot.base + file, root: d.hostRoot, host: d.hostRoot}
	var found finding
	return append(tasks, &task{
		device: device,
		run:    func() { found = s.look(kinds) },
		then: func() {
			switch {
			case found.err != nil:
			case found.entry != nil && !d.wants(found.entry.Path):
				found.entry.open.Close()
			default:
				d.learn(found, d.nobody, false)
			}
		},
	})
}
