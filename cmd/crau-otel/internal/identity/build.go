// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"sync"

	"golang.org/x/sys/unix"

	"github.com/crau-otel/crau-otel/probes"
	"github.com/crau-otel/crau-otel/probes/host"
	"github.com/crau-otel/crau-otel/tracer/event"
)

const (
	maxBuilds      = 4096          // build ids in the cache
	maxOwnerBuilds = maxBuilds / 8 // build ids of one owner in the cache
)

// executable identifies the file of a program by device and inode numbers in the kernel's form.
type executable struct {
	device uint32
	inode  uint64
}

// subject returns the file's file system, as the subject of questions to [host.Helpers].
func (e executable) subject() host.Subject {
	return host.Subject{Device: unix.Mkdev(e.device>>20, e.device&(1<<20-1))} // MAJOR and MINOR of <linux/kdev_t.h>
}

// builds caches the build ids of executables. It is safe for concurrent use.
type builds struct {
	helpers *host.Helpers
	mu      *sync.Mutex
	known   map[executable]string
	owners  map[string][]executable // keys of known, oldest first, by owner of the process for which the build id was read
}

func newBuilds(helpers *host.Helpers) builds {
	return builds{helpers, new(sync.Mutex), make(map[executable]string), make(map[string][]executable)}
}

// of returns the build id of the executable of a process. It returns "" if the executable has none, or if the file
// system does not answer within the helpers' patience. owner is the owner of the process.
func (b *builds) of(pid uint32, p event.Process, owner string) string {
	file := executable{p.ExeDevice, p.ExeInode}
	b.mu.Lock()
	id, known := b.known[file]
	b.mu.Unlock()
	if known || file == (executable{}) || !alive(pid, p) {
		return id
	}
	var read string
	answered := b.helpers.Ask(&host.Question{
		Subject: file.subject(),
		Urgent:  true,
		Ask: func() {
			var ok bool
			if read, ok = readBuildID(pid); ok && alive(pid, p) {
				b.remember(owner, file, read)
			}
		},
	})
	if answered == 0 {
		return ""
	}
	return read
}

// remember stores the build id of a file. If the owner has used up its share of the cache, the owner's oldest entry is
// removed.
func (b *builds) remember(owner string, file executable, id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, known := b.known[file]; known {
		b.known[file] = id
		return
	}
	if own := b.owners[owner]; len(own) >= maxOwnerBuilds {
		delete(b.known, own[0])
		b.owners[owner] = own[1:]
	}
	if len(b.known) >= maxBuilds {
		clear(b.known)
		clear(b.owners)
	}
	b.known[file] = id
	b.owners[owner] = append(b.owners[owner], file)
}

// readBuildID reads the build id of the executable of a process. ok is false if it could not be read.
func readBuildID(pid uint32) (id string, ok bool) {
	f, err := host.Process(pid).OpenExecutable()
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
