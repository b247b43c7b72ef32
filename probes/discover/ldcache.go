// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"encoding/binary"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	maxFolders   = 256
	maxCacheSize = 16 << 20
	cachePath    = "/etc/ld.so.cache"
)

// cachedFolders returns the folders of the libraries in glibc's cache of libraries: struct cache_file_new of
// sysdeps/generic/dl-cache.h.
func cachedFolders(data []byte) ([]string, error) {
	const (
		magic      = "glibc-ld.so.cache1.1"
		headerSize = 48
		entrySize  = 24
	)
	// Up to glibc 2.31, an older format comes first and ends where the new one begins.
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
		offset := binary.NativeEndian.Uint32(data[headerSize+i*entrySize+8:])
		if uint64(offset) >= uint64(len(data)) {
			continue
		}
		text := data[offset:min(uint64(offset)+unix.PathMax, uint64(len(data)))]
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
