// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/crau-otel/crau-otel/probes/host"
)

// listing is the contents of a library folder. A helper reads it, because a file system may not answer.
type listing struct {
	root  host.Root
	rules *rules

	stamp     stamp
	libraries []listed
	multiarch []string // paths of the multiarch folders in it
}

// listed is a library in a folder.
type listed struct {
	path   string
	isLink bool        // a symbolic link to a file in another folder
	status host.Status // status of the file; zero for a link
}

// read reads a library folder. It calls step when it makes progress.
func (l *listing) read(name string, step func()) error {
	fd, err := l.root.Find(l.root.Base + name)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	l.stamp = stampOf(&st)
	if where, _, err := host.PathOf(fd); err == nil {
		name = l.root.Within(where) // patterns are compared with the path after resolving links
	}
	dir, err := host.Open(host.DescriptorPath(fd), unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	folder := os.NewFile(uintptr(dir), name)
	defer folder.Close()
	for count := 0; count < maxFolderNames; {
		step()
		entries, err := folder.ReadDir(perStep)
		for _, e := range entries {
			step()
			l.add(dir, path.Join(name, e.Name()), e)
		}
		if count += len(entries); err != nil {
			break // io.EOF at the end; if reading fails earlier, what was read so far is used
		}
	}
	return nil
}

// add adds an entry of the folder if it is a library or a multiarch folder.
func (l *listing) add(dir int, file string, e os.DirEntry) {
	at := host.DescriptorPath(dir) + "/" + e.Name()
	switch {
	case e.IsDir() && isMultiarch(e.Name()):
		l.multiarch = append(l.multiarch, file)
	case !strings.Contains(e.Name(), ".so"):
	case e.Type()&os.ModeSymlink != 0:
		target, err := host.ReadLink(at)
		if err == nil && strings.Contains(target, "/") { // otherwise the folder lists the target too
			l.libraries = append(l.libraries, listed{path: file, isLink: true})
		}
	case e.Type().IsRegular() && l.rules.examines(file):
		if status, err := host.CachedStatus(at); err == nil && status.Regular {
			l.libraries = append(l.libraries, listed{path: file, status: status})
		}
	}
}

// isMultiarch reports whether a folder is one of Debian's multiarch folders, such as x86_64-linux-gnu.
func isMultiarch(name string) bool {
	return strings.Contains(name, "-linux-gnu") || strings.Contains(name, "-linux-musl")
}

// stamp identifies a version of a file or folder: it changes whenever the file or folder does.
type stamp struct {
	inode   host.Inode
	changed int64
}

func stampOf(st *unix.Stat_t) stamp {
	return stamp{host.Inode{Device: st.Dev, Number: st.Ino}, st.Ctim.Nano()}
}
