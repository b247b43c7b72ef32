// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"fmt"
	"io"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/crau-otel/crau-otel/probes/host"
)

// maxCaches is how many caches are remembered. Each can take several hundred KiB.
const maxCaches = 16

// Caches remembers glibc's caches of libraries for several root folders. It is safe for concurrent use.
type Caches struct {
	mu     sync.Mutex
	caches map[cacheKey]*Cache // nil for a cache that cannot be parsed
}

type cacheKey struct {
	inode   host.Inode
	changed int64
}

// NewCaches returns an empty Caches.
func NewCaches() *Caches { return &Caches{caches: make(map[cacheKey]*Cache)} }

// of returns the cache in a root folder, or nil if there is none that can be read. c may be nil.
func (c *Caches) of(o opener) *Cache {
	readable, st, err := o.open(CachePath)
	if err != nil {
		return nil
	}
	defer unix.Close(readable)
	key := cacheKey{host.Inode{Device: st.Dev, Number: st.Ino}, st.Ctim.Nano()}
	if c != nil {
		c.mu.Lock()
		known, ok := c.caches[key]
		c.mu.Unlock()
		if ok {
			return known
		}
	}
	data, err := io.ReadAll(io.LimitReader(io.NewSectionReader(host.Reader(readable), 0, st.Size), MaxCacheSize))
	if err != nil {
		return nil
	}
	parsed, _ := ParseCache(data)
	if c != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		if len(c.caches) >= maxCaches {
			clear(c.caches)
		}
		c.caches[key] = parsed
	}
	return parsed
}

// opener opens files in a root folder.
type opener struct {
	root   int
	viewer host.Process
	mounts *host.MountKinds
}

// open opens a regular file for reading.
func (o opener) open(name string) (readable int, st unix.Stat_t, err error) {
	fd, err := host.FindBeneath(o.root, name)
	if err != nil {
		return -1, st, err
	}
	defer unix.Close(fd)
	return host.OpenRegular(fd, o.viewer, o.mounts)
}

// read returns the beginning of a file, at most limit bytes.
func (o opener) read(name string, limit int64) ([]byte, error) {
	readable, _, err := o.open(name)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", name, err)
	}
	defer unix.Close(readable)
	return io.ReadAll(io.NewSectionReader(host.Reader(readable), 0, limit))
}
