// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"path"
	"time"

	"golang.org/x/sys/unix"
)

const (
	maxUnlisted = 8                     // passes that do without a list of the processes
	rotation    = 2 * time.Minute       // after which every process has been looked at again
	cooldown    = 50 * time.Millisecond // between two looks at a process that were asked for
)

// mapped is a file that a process maps.
type mapped struct {
	id    mapID
	entry *entry // nil: no probes, or not known
}

// is notes what the file is, unless that is known.
func (m *mapped) is(e *entry) {
	if m.entry == nil || m.entry.retired && m.entry != e {
		m.entry = e
		e.mappers++
	}
}

// pages is how much memory a process has, from its statm.
type pages struct{ all, code uint64 }

// executable is how much memory a process can execute, in KiB, from its
// status: that of the program itself, and all else.
type executable struct{ program, libraries uint64 }

// process is a process whose mappings are watched.
type process struct {
	pid       uint32
	statm     int // kept open, which also notices another process under the same number; -1: not
	round     uint32
	gone      bool
	queued    bool
	stale     bool // its maps are to be read again
	more      bool // likewise, but after the backlog
	again     bool // a look was asked for too early
	container *container
	cgroup    string
	space     uint64 // mount namespace
	base      string // of its root, see root

	pages      pages
	executable executable
	looked     time.Time
	due        time.Time // of the next look at all of it

	files   []mapped // by id
	backlog []sighting

	reported quota // files first seen in it
}

// listProcesses adds the processes that are new and drops those that are gone,
// unless nothing was started since the last time.
func (d *Discoverer) listProcesses() error {
	last, ok := d.lastStarted()
	if ok && last == d.listed && d.round%maxUnlisted != 0 {
		d.round++
		return nil
	}
	d.listed = last
	return d.listAll()
}

// lastStarted returns the number that the last process or thread got. Only one
// that asks for a certain number, when it is restored, goes without.
func (d *Discoverer) lastStarted() (uint64, bool) {
	if d.load == nil {
		return 0, false
	}
	n, err := d.load.ReadAt(d.buffer, 0)
	if n == 0 && err != nil {
		return 0, false
	}
	line := bytes.TrimRight(d.buffer[:n], "\n")
	return parseUint(line[bytes.LastIndexByte(line, ' ')+1:], 10)
}

func (d *Discoverer) listAll() error {
	d.round++
	if _, err := unix.Seek(int(d.proc.Fd()), 0, 0); err != nil {
		return fmt.Errorf("list processes: %w", err)
	}
	for {
		n, err := ignoringEINTR(func() (int, error) { return unix.Getdents(int(d.proc.Fd()), d.listing) })
		if err != nil {
			return fmt.Errorf("list processes: %w", err)
		}
		if n == 0 {
			break
		}
		for data := d.listing[:n]; len(data) >= 19; {
			size := int(binary.NativeEndian.Uint16(data[16:]))
			name, _, _ := bytes.Cut(data[19:size], []byte{0})
			if pid, ok := parseUint(name, 10); ok {
				if p := d.processes[uint32(pid)]; p != nil {
					p.round = d.round
				} else {
					d.add(uint32(pid))
				}
			}
			data = data[size:]
		}
	}
	for _, p := range d.processes {
		if p.round != d.round {
			d.drop(p)
		}
	}
	return nil
}

// add starts to watch a process.
func (d *Discoverer) add(pid uint32) *process {
	p := &process{pid: pid, statm: -1, round: d.round}
	d.processes[pid] = p
	p.cgroup, _ = CgroupOf(pid)
	p.container = d.container(p.cgroup)
	p.container.processes++
	d.watch(p)
	p.pages, _ = d.pages(p)
	p.executable = d.executable(p)
	d.revisit(p)
	return p
}

// drop stops to watch a process.
func (d *Discoverer) drop(p *process) {
	p.gone = true
	d.unwatch(p)
	d.release(p)
	delete(d.processes, p.pid)
	delete(d.follow, p)
	p.container.processes--
	d.dispose(p.container)
}

// release forgets what the process maps.
func (d *Discoverer) release(p *process) {
	for _, f := range p.files {
		if f.entry != nil {
			f.entry.mappers--
		}
	}
	p.container.mapped -= len(p.files)
	p.files, p.backlog = nil, nil
}

func (d *Discoverer) watch(p *process) {
	if d.watched >= d.maxWatched {
		return
	}
	if fd, err := open(procPath(p.pid, "statm"), unix.O_RDONLY); err == nil {
		p.statm = fd
		d.watched++
	}
}

func (d *Discoverer) unwatch(p *process) {
	if p.statm >= 0 {
		unix.Close(p.statm)
		p.statm = -1
		d.watched--
	}
}

// pages returns how much memory a process has.
func (d *Discoverer) pages(p *process) (pages, error) {
	fd := p.statm
	if fd < 0 {
		var err error
		if fd, err = open(procPath(p.pid, "statm"), unix.O_RDONLY); err != nil {
			return pages{}, err
		}
		defer unix.Close(fd)
	}
	n, err := ignoringEINTR(func() (int, error) { return unix.Pread(fd, d.buffer, 0) })
	if err != nil {
		return pages{}, err
	}
	all, rest, _ := bytes.Cut(d.buffer[:n], []byte{' '})
	_, rest, _ = bytes.Cut(rest, []byte{' '}) // resident
	_, rest, _ = bytes.Cut(rest, []byte{' '}) // shared
	code, _, _ := bytes.Cut(rest, []byte{' '})
	var have pages
	have.all, _ = parseUint(all, 10)
	have.code, _ = parseUint(code, 10)
	return have, nil
}

// executable returns how much memory a process can execute, zero if it cannot
// be told.
func (d *Discoverer) executable(p *process) (have executable) {
	fd, err := open(procPath(p.pid, "status"), unix.O_RDONLY)
	if err != nil {
		return have
	}
	defer unix.Close(fd)
	n, err := ignoringEINTR(func() (int, error) { return unix.Read(fd, d.buffer) })
	if err != nil {
		return have
	}
	for _, field := range []struct {
		name  string
		value *uint64
	}{{"\nVmExe:", &have.program}, {"\nVmLib:", &have.libraries}} {
		_, rest, _ := bytes.Cut(d.buffer[:n], []byte(field.name))
		digits, _, _ := bytes.Cut(bytes.TrimLeft(rest, " \t"), []byte{' '})
		*field.value, _ = parseUint(digits, 10)
	}
	return have
}

// check looks at a process again if it may map other files than before.
func (d *Discoverer) check(p *process, now time.Time) {
	have, err := d.pages(p)
	if err != nil {
		d.drop(p)
		return
	}
	if have != p.pages {
		p.pages = have
		// It may only have allocated memory.
		if can := d.executable(p); can != p.executable {
			p.executable = can
			d.revisit(p)
			return
		}
	}
	if !now.Before(p.due) {
		d.revisit(p)
	}
}

// revisit has a process looked at anew.
func (d *Discoverer) revisit(p *process) {
	p.stale = true
	d.enqueue(p)
}

// identify finds out where a process belongs.
func (d *Discoverer) identify(p *process) {
	p.space = namespace(procPath(p.pid, "ns/mnt"))
	p.base, _ = readLink(procPath(p.pid, "root"))
	if p.base == "/" {
		p.base = ""
	}
	if cgroup, err := CgroupOf(p.pid); err == nil && cgroup != p.cgroup {
		p.cgroup = cgroup
		if c := d.container(cgroup); c != p.container {
			c.processes++
			c.mapped += len(p.files)
			p.container.processes--
			p.container.mapped -= len(p.files)
			d.dispose(p.container)
			p.container = c
		}
	}
}

// namespace returns the number of the namespace that a link in /proc names, 0
// if it cannot be read.
func namespace(link string) uint64 {
	text, err := readLink(link)
	if err != nil {
		return 0
	}
	_, number, _ := bytes.Cut([]byte(path.Base(text)), []byte{'['})
	value, _ := parseUint(bytes.TrimSuffix(number, []byte{']'}), 10)
	return value
}
