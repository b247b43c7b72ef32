// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"path"

	"golang.org/x/sys/unix"
)

// Limits on reading glibc's cache of libraries.
const (
	MaxFolders   = 256      // folders that are returned
	MaxCacheSize = 16 << 20 // bytes that are read

	// CachePath is the path of glibc's cache of libraries.
	CachePath = "/etc/ld.so.cache"
)

// Cache is glibc's cache of libraries.
type Cache struct {
	data    []byte
	entries []byte // the part of data that lists the libraries
}

const cacheEntrySize = 24

// ParseCache parses glibc's cache of libraries: struct cache_file_new of sysdeps/generic/dl-cache.h.
func ParseCache(data []byte) (*Cache, error) {
	const (
		magic      = "glibc-ld.so.cache1.1"
		headerSize = 48
	)
	// Up to glibc 2.31, an older format comes first and ends where the new one begins.
	start := bytes.Index(data, []byte(magic))
	if start < 0 {
		return nil, errors.New("unknown format")
	}
	data = data[start:]
	if len(data) < headerSize {
		return nil, errors.New("header is incomplete")
	}
	count := uint64(binary.NativeEndian.Uint32(data[20:]))
	if count*cacheEntrySize > uint64(len(data)-headerSize) {
		return nil, fmt.Errorf("%d entries do not fit into %d bytes", count, len(data))
	}
	return &Cache{data, data[headerSize : headerSize+count*cacheEntrySize]}, nil
}

// each calls visit with the name and path of every library. A missing name or path is nil.
func (c *Cache) each(visit func(name, path []byte)) {
	for entries := c.entries; len(entries) > 0; entries = entries[cacheEntrySize:] {
		visit(c.text(entries[4:]), c.text(entries[8:]))
	}
}

// text returns the string whose offset is at the start of field, or nil if the offset is wrong.
func (c *Cache) text(field []byte) []byte {
	offset := uint64(binary.NativeEndian.Uint32(field))
	if offset >= uint64(len(c.data)) {
		return nil
	}
	text, _, found := bytes.Cut(c.data[offset:min(offset+unix.PathMax, uint64(len(c.data)))], []byte{0})
	if !found {
		return nil
	}
	return text
}

// Folders returns the folders of the libraries, each once and at most MaxFolders.
func (c *Cache) Folders() (folders []string) {
	seen := make(map[string]bool)
	c.each(func(_, file []byte) {
		name := path.Dir(string(file))
		if path.IsAbs(name) && !seen[name] && len(folders) < MaxFolders {
			seen[name] = true
			folders = append(folders, name)
		}
	})
	return folders
}

// find returns the paths of a library. There are several if the library was built for several kinds of processors.
func (c *Cache) find(library string) (paths []string) {
	c.each(func(name, file []byte) {
		if string(name) == library && len(file) > 0 && file[0] == '/' && len(paths) < maxVariants {
			paths = append(paths, string(file))
		}
	})
	return paths
}
