// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"io"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/crau-otel/crau-otel/probes/host"
)

const (
	maxFiles    = 512  // files of one program
	maxVariants = 8    // files of one library
	maxTries    = 8192 // paths that are tried for one program
)

// Program describes the program whose files Resolve finds.
type Program struct {
	Root        int          // descriptor of the root folder in which paths start
	Path        string       // path of the program, within the root folder
	File        io.ReaderAt  // the program itself
	LibraryPath []string     // folders of LD_LIBRARY_PATH
	Preload     []string     // files of LD_PRELOAD
	Caches      *Caches      // remembers glibc's caches of libraries; may be nil
	Viewer      host.Process // process that sees the program's file systems; 0 if none is left
}

// Needed is a file that the program will map.
type Needed struct {
	Path string // within the program's root folder
	FD   int    // O_PATH descriptor, which the caller must close
}

// Resolve returns the interpreter and the libraries of a program. Files that cannot be found or read are omitted.
// Resolve may block for as long as the program's file systems do, and calls step whenever it makes progress.
func Resolve(p Program, step func()) []Needed {
	program, err := readObject(p.File)
	if err != nil {
		return nil
	}
	program.path = p.Path
	s := &resolver{
		Program: p, step: step, seen: make(map[host.Inode]bool), names: make(map[string]bool),
		opener: opener{p.Root, p.Viewer, host.NewMountKinds()},
	}
	s.musl = strings.Contains(path.Base(program.interp), "ld-musl")
	if program.interp == "" && len(program.needed) == 0 {
		return nil // statically linked
	}
	if !s.musl {
		s.cache = p.Caches.of(s.opener)
	}
	s.add(program.interp, nil)
	for _, name := range p.Preload {
		s.find(name, program)
	}
	for queue := []*object{program}; len(queue) > 0; queue = queue[1:] {
		for _, name := range queue[0].needed {
			if !s.names[name] {
				s.names[name] = true
				queue = append(queue, s.find(name, queue[0])...)
			}
		}
	}
	return s.found
}

// resolver is the state of one call of Resolve.
type resolver struct {
	Program
	opener
	step  func()
	musl  bool
	cache *Cache
	found []Needed
	seen  map[host.Inode]bool // files in found
	names map[string]bool     // libraries that were looked for, by the names that objects use
	tries int                 // paths that were tried
}

// find finds a library that an object needs. It returns the objects that it added, which are variants of the library
// for different processors.
func (s *resolver) find(name string, by *object) (added []*object) {
	if strings.Contains(name, "/") {
		for _, file := range s.expand(name, by) {
			added = s.append(added, file, by)
		}
		return added
	}
	for _, folders := range s.folders(by) {
		for _, folder := range folders {
			if !path.IsAbs(folder) {
				continue // the path is relative to the working folder, which is unknown
			}
			for _, variant := range s.variants() {
				added = s.append(added, path.Join(folder, variant, name), by)
			}
			if s.exists(path.Join(folder, name), &added, by) {
				return added
			}
		}
	}
	if s.cache != nil {
		for _, file := range s.cache.find(name) {
			added = s.append(added, file, by)
		}
		if len(added) > 0 {
			return added
		}
	}
	for _, folder := range s.defaultFolders() {
		if s.exists(path.Join(folder, name), &added, by) {
			break
		}
	}
	return added
}

// folders returns the lists of folders that are searched before the cache, in the loader's order.
func (s *resolver) folders(by *object) (lists [][]string) {
	expandAll := func(folders []string, o *object) (all []string) {
		for _, folder := range folders {
			all = append(all, s.expand(folder, o)...)
		}
		return all
	}
	inherit := func() {
		for o := by; o != nil; o = o.loader {
			if len(o.runpath) == 0 {
				lists = append(lists, expandAll(o.rpath, o))
			} else if s.musl {
				lists = append(lists, expandAll(o.runpath, o)) // musl treats runpath like rpath
			}
		}
	}
	if s.musl {
		lists = append(lists, s.LibraryPath)
		inherit()
		return lists
	}
	if len(by.runpath) == 0 {
		inherit()
	}
	return append(lists, s.LibraryPath, expandAll(by.runpath, by))
}

// expand replaces the loader's variables in a path. It returns a path for each of the two common values of $LIB.
func (s *resolver) expand(text string, o *object) []string {
	if !strings.Contains(text, "$") {
		return []string{text}
	}
	replace := func(lib string) string {
		origin, platform := path.Dir(o.path), "x86_64"
		if runtime.GOARCH == "arm64" {
			platform = "aarch64"
		}
		return strings.NewReplacer("${ORIGIN}", origin, "$ORIGIN", origin, "${LIB}", lib, "$LIB", lib,
			"${PLATFORM}", platform, "$PLATFORM", platform).Replace(text)
	}
	texts := []string{replace("lib64"), replace("lib/" + triplet())}
	return slices.Compact(texts)
}

func triplet() string {
	if runtime.GOARCH == "arm64" {
		return "aarch64-linux-gnu"
	}
	return "x86_64-linux-gnu"
}

// variants returns the subfolders in which glibc looks first, for libraries that are built for certain processors.
func (s *resolver) variants() []string {
	if s.musl || runtime.GOARCH != "amd64" {
		return nil
	}
	return []string{"glibc-hwcaps/x86-64-v4", "glibc-hwcaps/x86-64-v3", "glibc-hwcaps/x86-64-v2"}
}

func (s *resolver) defaultFolders() []string {
	if s.musl {
		name := "/etc/ld-musl-x86_64.path"
		if runtime.GOARCH == "arm64" {
			name = "/etc/ld-musl-aarch64.path"
		}
		if text, err := s.read(name, maxInterp); err == nil {
			return strings.FieldsFunc(string(text), func(r rune) bool { return r == ':' || r == '\n' })
		}
		return []string{"/lib", "/usr/local/lib", "/usr/lib"}
	}
	return []string{"/lib/" + triplet(), "/usr/lib/" + triplet(), "/lib64", "/usr/lib64", "/lib", "/usr/lib"}
}

// exists adds a file if the loader would accept it, and reports whether it was added.
func (s *resolver) exists(file string, added *[]*object, by *object) bool {
	before := len(*added)
	*added = s.append(*added, file, by)
	return len(*added) > before
}

// append adds a file, and appends its object, if the loader would accept the file.
func (s *resolver) append(objects []*object, file string, by *object) []*object {
	if o := s.add(file, by); o != nil {
		return append(objects, o)
	}
	return objects
}

// add adds a file to the result and returns its object. It returns nil if the loader would not accept the file.
func (s *resolver) add(file string, by *object) *object {
	s.tries++
	if !path.IsAbs(file) || len(s.found) >= maxFiles || s.tries > maxTries {
		return nil
	}
	fd, err := host.FindBeneath(s.Root, file)
	if err != nil {
		return nil
	}
	s.step()
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		unix.Close(fd)
		return nil
	}
	inode := host.Inode{Device: st.Dev, Number: st.Ino}
	if s.seen[inode] {
		unix.Close(fd)
		return &object{path: file, loader: by} // the libraries that it needs were already added
	}
	readable, _, err := host.OpenRegular(fd, s.viewer, s.mounts)
	if err != nil {
		unix.Close(fd)
		return nil
	}
	o, err := readObject(host.Reader(readable))
	unix.Close(readable)
	if err != nil {
		unix.Close(fd)
		return nil
	}
	// $ORIGIN is the folder in the path that the loader uses, even if that path is a symbolic link.
	o.path, o.loader = filepath.Clean(file), by
	s.seen[inode] = true
	s.found = append(s.found, Needed{file, fd})
	return o
}
