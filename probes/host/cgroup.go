// SPDX-License-Identifier: Apache-2.0

package host

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	kernfsHandle = 0xfe        // the kernel's FILEID_KERNFS
	maxCgroups   = 16384       // size limit of Cgroups.paths and of Cgroups.places
	walkInterval = time.Second // minimum time from one readTree to the next
)

// Cgroups finds the paths of cgroups of version 2 by the numbers that bpf_get_current_cgroup_id returns. It is safe for
// concurrent use.
type Cgroups struct {
	mount string
	dir   *os.File

	mu     sync.Mutex
	paths  map[uint64]string // paths by cgroup number
	places map[uint64]Place  // places by cgroup number
	walk   bool              // read the whole tree, as file handles cannot be opened (without CAP_DAC_READ_SEARCH)
	walked time.Time         // time of the last readTree
}

// NewCgroups finds the mount of cgroup version 2. It fails if there is none. The caller must close the result.
func NewCgroups() (*Cgroups, error) {
	point := ""
	err := eachMount(ownMounts, func(m mount) bool {
		if m.kind == "cgroup2" {
			point = m.point
		}
		return point == ""
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("find cgroups: %w", err)
	case point == "":
		return nil, errors.New("find cgroups: version 2 is not mounted")
	}
	return newCgroups(point)
}

func newCgroups(mount string) (*Cgroups, error) {
	dir, err := os.Open(mount)
	if err != nil {
		return nil, fmt.Errorf("find cgroups: %w", err)
	}
	return &Cgroups{mount: mount, dir: dir, paths: make(map[uint64]string), places: make(map[uint64]Place)}, nil
}

// Close closes the folder at which cgroups are mounted.
func (c *Cgroups) Close() error { return c.dir.Close() }

// Mount returns where cgroups of version 2 are mounted.
func (c *Cgroups) Mount() string { return c.mount }

// Path returns the path of the cgroup with the number id, in the form of /proc/PID/cgroup. The kernel does not reuse
// numbers, so a remembered path stays valid after the cgroup is removed.
func (c *Cgroups) Path(id uint64) (string, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.path(id)
}

func (c *Cgroups) path(id uint64) (string, bool) {
	if path, ok := c.paths[id]; ok {
		return path, true
	}
	if !c.walk {
		path, err := c.open(id)
		if err == nil {
			c.remember(id, path)
			return path, true
		}
		c.walk = errors.Is(err, unix.EPERM) || errors.Is(err, unix.EOPNOTSUPP)
	}
	if c.walk && time.Since(c.walked) > walkInterval {
		c.readTree()
	}
	path, ok := c.paths[id]
	return path, ok
}

func (c *Cgroups) remember(id uint64, path string) {
	if len(c.paths) >= maxCgroups {
		clear(c.paths)
	}
	c.paths[id] = path
}

// open returns the path of a cgroup by its number. It opens the cgroup by a file handle, whose whole content is the
// number.
func (c *Cgroups) open(id uint64) (string, error) {
	handle := unix.NewFileHandle(kernfsHandle, binary.NativeEndian.AppendUint64(nil, id))
	fd, err := unix.OpenByHandleAt(int(c.dir.Fd()), handle, unix.O_PATH|unix.O_CLOEXEC)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return "", err
	}
	where, _, err := PathOf(fd)
	if err != nil {
		return "", err
	}
	inside, ok := strings.CutPrefix(where, c.mount)
	if !ok || st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return "", unix.ENOENT
	}
	return path.Join("/", inside), nil
}

// readTree replaces the remembered paths by those of all present cgroups, up to maxCgroups.
func (c *Cgroups) readTree() {
	c.walked = time.Now()
	clear(c.paths)
	_ = filepath.WalkDir(c.mount, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() {
			return nil //nolint:nilerr // removed meanwhile
		}
		if len(c.paths) >= maxCgroups {
			return fs.SkipAll
		}
		var st unix.Stat_t
		if unix.Lstat(name, &st) == nil {
			c.paths[st.Ino] = path.Join("/", strings.TrimPrefix(name, c.mount))
		}
		return nil
	})
}
