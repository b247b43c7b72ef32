// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/crau-otel/crau-otel/probes/host"
)

const (
	maxUnlisted = 8 // processes are listed every maxUnlisted-th time even if none was started
	bufferSize  = 64 << 10
)

// processes is the table of all processes of the host. It finds out which of them have mapped other files.
type processes struct {
	turns  *turns
	misses *misses
	table  map[host.Process]*process
	proc   *os.File
	load   *os.File // /proc/loadavg; nil if that is not the kernel's own file

	round      uint32 // number of listings so far, including those that update has skipped
	listed     uint64 // id of the process or thread that was the last one started before the last listing
	watched    int    // number of processes whose statm is open
	maxWatched int    // limit on watched
	buffer     []byte
	listing    []byte
}

// newProcesses returns an empty table. watch decides whether the statm files of processes are kept open.
func newProcesses(t *turns, m *misses, watch bool) (*processes, error) {
	proc, err := os.Open("/proc")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	ps := &processes{
		turns: t, misses: m, table: make(map[host.Process]*process), proc: proc, load: openLoad(),
		buffer: make([]byte, bufferSize), listing: make([]byte, bufferSize),
	}
	if watch {
		ps.maxWatched = 4096
		var limit unix.Rlimit
		if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err == nil {
			ps.maxWatched = int(min(limit.Cur/2, 32768))
		}
	}
	return ps, nil
}

// openLoad opens /proc/loadavg, unless something like lxcfs is mounted over it.
func openLoad() *os.File {
	const path = "/proc/loadavg"
	file, err := host.CachedStatus(path)
	folder, err2 := host.CachedStatus("/proc")
	if err != nil || err2 != nil || file.Inode.Device != folder.Inode.Device {
		return nil
	}
	load, err := os.Open(path)
	if err != nil {
		return nil
	}
	return load
}

func (ps *processes) close() error {
	for _, p := range ps.table {
		ps.unwatch(p)
	}
	var err error
	if ps.load != nil {
		err = ps.load.Close()
	}
	return errors.Join(err, ps.proc.Close())
}

// update adds new processes and drops ended ones. If nothing was started since the last call, it usually skips that,
// see maxUnlisted.
func (ps *processes) update() error {
	last, ok := ps.lastStarted()
	if ok && last == ps.listed && ps.round%maxUnlisted != 0 {
		ps.round++
		return nil
	}
	ps.listed = last
	return ps.list()
}

// lastStarted returns the id of the process or thread that was started last. It does not notice a process that is
// restored under an id of its choice.
func (ps *processes) lastStarted() (uint64, bool) {
	if ps.load == nil {
		return 0, false
	}
	n, err := ps.load.ReadAt(ps.buffer, 0)
	if n == 0 && err != nil {
		return 0, false
	}
	line := bytes.TrimRight(ps.buffer[:n], "\n")
	return host.ParseUint(line[bytes.LastIndexByte(line, ' ')+1:], 10)
}

// list adds new processes and drops ended ones.
func (ps *processes) list() error {
	ps.round++
	err := host.ListProcesses(ps.proc, ps.listing, func(pid host.Process) {
		if p := ps.table[pid]; p != nil {
			p.round = ps.round
		} else {
			ps.add(pid, "")
		}
	})
	if err != nil {
		return err
	}
	for _, p := range ps.table {
		if p.round != ps.round {
			ps.drop(p)
		}
	}
	return nil
}

// add starts to watch a process. cgroup is the cgroup of the process, or "" if the caller does not know it.
func (ps *processes) add(pid host.Process, cgroup string) *process {
	p := &process{pid: pid, statm: -1, round: ps.round, cgroup: cgroup}
	ps.table[pid] = p
	if cgroup == "" {
		p.cgroup, _ = pid.CgroupPath()
	}
	p.user, _ = pid.User()
	p.owner = ps.turns.owner(p.user, p.cgroup)
	p.owner.processes++
	ps.watch(p)
	p.memory, _ = ps.memory(p)
	p.code = pid.Code(ps.buffer)
	ps.turns.revisit(p)
	return p
}

// drop stops watching a process. If the process holds a program, the program is resolved nevertheless.
func (ps *processes) drop(p *process) {
	if p.program != nil {
		ps.turns.enqueue(p)
	} else if p.unseen {
		ps.misses.note(p.owner.inLimits())
	}
	p.gone = true
	ps.unwatch(p)
	p.release()
	delete(ps.table, p.pid)
	p.owner.processes--
}

// move records that a process now belongs to that user and cgroup.
func (ps *processes) move(p *process, user uint32, cgroup string) {
	if user == p.user && cgroup == p.cgroup {
		return
	}
	p.user, p.cgroup = user, cgroup
	o := ps.turns.owner(user, cgroup)
	if o == p.owner {
		return
	}
	o.processes++
	o.mapped += len(p.files)
	p.owner.processes--
	p.owner.mapped -= len(p.files)
	p.owner = o
}

func (ps *processes) watch(p *process) {
	if ps.watched >= ps.maxWatched {
		return
	}
	if fd, err := host.Open(p.pid.Path("statm"), unix.O_RDONLY); err == nil {
		p.statm = fd
		ps.watched++
	}
}

func (ps *processes) unwatch(p *process) {
	if p.statm >= 0 {
		unix.Close(p.statm)
		p.statm = -1
		ps.watched--
	}
}

func (ps *processes) memory(p *process) (host.Memory, error) {
	if p.statm >= 0 {
		return host.ReadMemory(p.statm, ps.buffer)
	}
	return p.pid.Memory(ps.buffer)
}

// check schedules an examination of a process if it may have mapped other files since the last check.
func (ps *processes) check(p *process, now time.Time) {
	memory, err := ps.memory(p)
	if err != nil {
		ps.drop(p)
		return
	}
	if memory != p.memory {
		p.memory = memory
		// The process may only have allocated memory.
		if code := p.pid.Code(ps.buffer); code != p.code {
			p.code = code
			ps.turns.revisit(p)
			return
		}
	}
	if !now.Before(p.due) {
		ps.turns.revisit(p)
	}
}

// adopt sets the entry in all processes that map its file, either as the inode known or as the inode in the entry's
// key.
func (ps *processes) adopt(e *entry, known host.Inode) {
	for _, p := range ps.table {
		for _, id := range []host.MapID{{Device: known.Device, Inode: known.Number}, {Device: e.Key.Device, Inode: e.Key.Inode}} {
			if i, ok := p.find(id); ok {
				p.files[i].set(e)
			}
		}
	}
}
