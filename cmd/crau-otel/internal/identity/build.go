// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"sync"
	"time"

	"github.com/crau-otel/crau-otel/probes"
	"github.com/crau-otel/crau-otel/probes/discover"
	"github.com/crau-otel/crau-otel/tracer/event"
)

const (
	maxBuilds   = 4096
	maxReaders  = 4                     // at a time; a file system that does not answer keeps one for good
	maxPatience = 20 * time.Millisecond // events wait for so long
)

// executable is a file in the kernel's own numbers.
type executable struct {
	device uint32
	inode  uint64
}

// builds remembers the build ids of executables.
type builds struct {
	mu      *sync.Mutex
	known   map[executable]string
	readers chan struct{}
}

func newBuilds() builds {
	return builds{new(sync.Mutex), make(map[executable]string), make(chan struct{}, maxReaders)}
}

// of returns the build id of what a process executes, "" if it has none or it cannot be told at once.
func (b *builds) of(pid uint32, p event.Process) string {
	file := executable{p.ExeDevice, p.ExeInode}
	b.mu.Lock()
	id, known := b.known[file]
	b.mu.Unlock()
	if known || file == (executable{}) || !alive(pid, p) {
		return id
	}
	select {
	case b.readers <- struct{}{}:
	default:
		return ""
	}
	read := make(chan string, 1)
	go func() {
		defer func() { <-b.readers }()
		id, ok := readBuildID(pid)
		if ok && alive(pid, p) {
			b.remember(file, id)
		}
		read <- id
	}()
	select {
	case id := <-read:
		return id
	case <-time.After(maxPatience):
		return ""
	}
}

func (b *builds) remember(file executable, id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.known) >= maxBuilds {
		clear(b.known)
	}
	b.known[file] = id
}

// readBuildID reads the build id of what a process executes; ok says whether it was to be read.
func readBuildID(pid uint32) (id string, ok bool) {
	f, err := discover.OpenExecutable(pid)
	if err != nil {
		return "", false
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", false
	}
	id, err = probes.BuildID(f, info.Size())
	return id, err == nil
}
