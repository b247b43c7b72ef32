// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// loaderCache returns a cache in glibc's format.
func loaderCache(libraries ...string) []byte {
	data := []byte("glibc-ld.so.cache1.1")
	data = binary.NativeEndian.AppendUint32(data, uint32(len(libraries)))
	strings := []byte{}
	at := 48 + 24*len(libraries)
	var entries []byte
	for _, library := range libraries {
		name := filepath.Base(library)
		entry := binary.NativeEndian.AppendUint32(nil, 0x303) // ELF, x86-64
		entry = binary.NativeEndian.AppendUint32(entry, uint32(at+len(strings)))
		entry = binary.NativeEndian.AppendUint32(entry, uint32(at+len(strings)+len(name)+1))
		entries = append(entries, append(entry, make([]byte, 12)...)...)
		strings = append(strings, name+"\x00"+library+"\x00"...)
	}
	data = binary.NativeEndian.AppendUint32(data, uint32(len(strings)))
	data = append(data, make([]byte, 48-len(data))...)
	return append(append(data, entries...), strings...)
}

// folders returns the folders that a cache names.
func folders(data []byte) ([]string, error) {
	cache, err := ParseCache(data)
	if err != nil {
		return nil, err
	}
	return cache.Folders(), nil
}

func TestCachedFolders(t *testing.T) {
	t.Parallel()
	good := loaderCache("/usr/lib/liba.so.1", "/opt/b/lib/libb.so", "/usr/lib/libc.so", "relative/libd.so")
	old := append([]byte("ld.so-1.7.0\x00\x01\x00\x00\x00"+strings.Repeat("x", 12)), good...)
	for name, test := range map[string]struct {
		data []byte
		want []string
		err  string
	}{
		"new format":      {good, []string{"/usr/lib", "/opt/b/lib"}, ""},
		"both formats":    {old, []string{"/usr/lib", "/opt/b/lib"}, ""},
		"empty":           {nil, nil, "unknown format"},
		"no header":       {good[:47], nil, "header is incomplete"},
		"too short":       {good[:48+24*4-1], nil, "4 entries do not fit"},
		"no strings":      {good[:48+24*4], nil, ""},
		"strings cut off": {good[:len(good)-1], []string{"/usr/lib", "/opt/b/lib"}, ""},
	} {
		got, err := folders(test.data)
		if !slices.Equal(got, test.want) || (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
	}
	if data, err := os.ReadFile(CachePath); err == nil { // the cache of this machine
		if got, err := folders(data); len(got) == 0 || err != nil {
			t.Errorf("%s: got %q, %v", CachePath, got, err)
		}
	}
}

func FuzzCachedFolders(f *testing.F) {
	f.Add(loaderCache("/usr/lib/liba.so.1", "/opt/b/lib/libb.so"))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := folders(data)
		if err != nil && got != nil || len(got) > MaxFolders {
			t.Errorf("got %d folders, %v", len(got), err)
		}
		for _, folder := range got {
			if !filepath.IsAbs(folder) {
				t.Errorf("got %q", folder)
			}
		}
	})
}
