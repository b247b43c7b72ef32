// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

const (
	perTurn    = 256     // files that are opened for one process before it is another's turn
	maxBacklog = 4096    // files of one process that wait for that
	maxMapped  = 1 << 19 // files without probes that are remembered of the processes of one container
)

// look finds out what a process maps. Files that are not known go to the
// backlog, of which each call opens some.
func (d *Discoverer) look(p *process, now time.Time) {
	if len(p.backlog) == 0 || p.stale {
		p.stale, p.more = false, false
		d.readMaps(p, now)
	}
	part := p.backlog[:min(perTurn, len(p.backlog))]
	p.backlog = p.backlog[len(part):]
	tasks, kinds := make([]*task, len(part)), newMountKinds()
	for i := range part {
		s := &part[i]
		var f finding
		tasks[i] = &task{
			device: s.id.device,
			run:    func() { f = s.look(kinds) },
			then:   func() { d.arrive(p, s.id, f) },
		}
	}
	d.perform(tasks)
}

// arrive takes in what was found at a mapping.
func (d *Discoverer) arrive(p *process, id mapID, f finding) {
	at, mapped := find(p.files, id)
	if f.err != nil {
		switch {
		case errors.Is(f.err, errNotRegular): // known now
		case errors.Is(f.err, unix.ENOENT) && mapped:
			// Gone, or elsewhere by now: to be seen at the next look.
			p.files = slices.Delete(p.files, at, at+1)
			p.container.mapped--
		default:
			d.log.Debug("mapped file not looked at", "pid", p.pid, "error", f.err)
		}
		return
	}
	if e := d.learn(f, p, false); e != nil && mapped {
		p.files[at].is(e)
	}
}

// find returns where a file is among those that a process maps.
func find(files []mapped, id mapID) (int, bool) {
	return slices.BinarySearchFunc(files, id, func(m mapped, id mapID) int { return m.id.compare(id) })
}

// readMaps reads the maps of a process.
func (d *Discoverer) readMaps(p *process, now time.Time) {
	all := !now.Before(p.due) // also what was known before
	if all {
		p.due = now.Add(rotation)
	}
	p.looked = now
	d.identify(p)
	home := root{procPath(p.pid, "root"), p.base}
	program, _ := readLink(procPath(p.pid, "exe"))
	program, _ = plainPath(program)
	if d.policy.deniesProcess(home.within(program), p.cgroup) {
		d.release(p)
		return
	}

	before := p.files
	p.files, p.backlog = nil, nil
	p.container.mapped -= len(before)
	seen := make(map[mapID]struct{}, len(before))
	task := p.pid
	visit := func(m mapping) {
		if _, twice := seen[m.id]; twice {
			return
		}
		seen[m.id] = struct{}{}
		file := mapped{id: m.id}
		at, carried := find(before, m.id)
		carried = carried && !all
		if carried {
			file = before[at]
		} else if link := m.link(task); !d.resolve(&file, link, p) {
			path, _ := plainPath(string(m.path))
			if d.wants(home.within(path)) {
				if len(p.backlog) == maxBacklog {
					p.more = true
					return
				}
				p.backlog = append(p.backlog, sighting{
					task: task, link: link, path: path, id: m.id,
					root: home, host: d.hostRoot, space: p.space, group: p.cgroup,
				})
			}
		}
		if file.entry != nil || p.container.mapped+len(p.files) < maxMapped {
			p.files = append(p.files, file)
		}
	}
	err := d.maps.read(procPath(task, "maps"), visit)
	if err == nil && len(seen) == 0 {
		if task = d.otherThread(p); task != 0 {
			err = d.maps.read(procPath(task, "maps"), visit)
		}
	}
	if err != nil && !errors.Is(err, unix.ESRCH) && !errors.Is(err, unix.ENOENT) {
		d.log.Debug("memory map not read", "pid", p.pid, "error", err)
	}
	slices.SortFunc(p.files, func(a, b mapped) int { return a.id.compare(b.id) })
	p.container.mapped += len(p.files)
	for _, f := range p.files {
		if f.entry != nil {
			f.entry.mappers++
		}
	}
	for _, f := range before {
		if f.entry != nil {
			f.entry.mappers--
		}
	}
}

// resolve fills in the entry of a mapped file, if it is known.
func (d *Discoverer) resolve(file *mapped, link string, p *process) (known bool) {
	i, changed, regular, err := statNow(link)
	if err != nil {
		return false
	}
	if !regular {
		return true
	}
	file.entry, known = d.recall(i, changed, p)
	return known
}

// otherThread returns a thread of a process whose first one has ended, which
// leaves it without maps although others run; 0 if there is none.
func (d *Discoverer) otherThread(p *process) uint32 {
	fd, err := open(procPath(p.pid, "task"), unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return 0
	}
	defer unix.Close(fd)
	n, err := unix.Getdents(fd, d.buffer)
	if err != nil {
		return 0
	}
	for data := d.buffer[:n]; len(data) >= 19; {
		size := int(binary.NativeEndian.Uint16(data[16:]))
		name, _, _ := bytes.Cut(data[19:size], []byte{0})
		if tid, ok := parseUint(name, 10); ok && uint32(tid) != p.pid {
			return uint32(tid)
		}
		data = data[size:]
	}
	return 0
}
