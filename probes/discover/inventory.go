// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"cmp"
	"slices"

	"github.com/crau-otel/crau-otel/probes/untraced"
)

// maxListed bounds the processes that are listed for one file.
const maxListed = 1024

// Entry is a file with probes, as a listing shows it.
type Entry struct {
	Key      Key
	Path     string // as seen by its processes
	Cgroup   string // of the process in which it was first seen; "" if it was found on the host's disk
	Soname   string
	BuildID  string
	Sites    int
	Problems []error // with some of its probes, see [probes.File]

	Processes []uint32 // that map it, in order; at most 1024
	Mappers   int      // number of processes that map it

	Trusted    bool
	Distrust   string          // why it is not trusted
	Namespaced bool            // see File
	Refused    string          // why it was not reported; "" if it was
	Untraced   untraced.Reason // why it is not traced, or only in part; "" if it is
}

// Inventory returns all files with probes that are known now, sorted by path, including those that were not reported.
func (d *Discoverer) Inventory() []Entry {
	d.mu.Lock()
	defer d.mu.Unlock()
	mappers := make(map[*entry][]uint32)
	for _, p := range d.search.processes.table {
		for _, f := range p.files {
			if f.entry == nil {
				continue
			}
			if pids := mappers[f.entry]; len(pids) == 0 || pids[len(pids)-1] != uint32(p.pid) { // once, even in two overlays
				mappers[f.entry] = append(pids, uint32(p.pid))
			}
		}
	}
	list := make([]Entry, 0, len(d.search.catalogue.files))
	for _, e := range d.search.catalogue.files {
		pids := mappers[e]
		reason, _ := e.whyUntraced()
		slices.Sort(pids)
		list = append(list, Entry{
			Key: e.Key, Path: e.Path, Cgroup: e.Cgroup, Soname: e.soname, BuildID: e.buildID, Sites: e.sites,
			Problems: e.problems, Processes: pids[:min(len(pids), maxListed)], Mappers: len(pids),
			Trusted: e.Trusted, Distrust: e.Distrust, Namespaced: e.Namespaced, Refused: e.refused,
			Untraced: reason,
		})
	}
	slices.SortFunc(list, func(a, b Entry) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Key.Device, b.Key.Device), cmp.Compare(a.Key.Inode, b.Key.Inode))
	})
	return list
}
