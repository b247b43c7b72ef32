// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"cmp"
	"slices"

	"github.com/crau-otel/crau-otel/probes/untraced"
)

// maxListed is how many processes are listed for one file.
const maxListed = 1024

// Entry describes a file in an inventory. The file has probes, or it is unknown whether it has some.
type Entry struct {
	Key      Key
	Path     string // as seen by its processes
	Cgroup   string // cgroup of the process in which the file was first seen; "" if it was found on the host's disk
	Soname   string
	BuildID  string
	Sites    int
	Problems []error // problems with some of the file's probes, see [probes.File]

	Processes []uint32 // ids of processes that map the file, in ascending order; at most 1024
	Mappers   int      // number of processes that map the file

	Trusted    bool
	Distrust   string          // why the file is not trusted; "" if it is
	Namespaced bool            // see [File]
	Refused    string          // why the file was not reported; "" if it was
	Untraced   untraced.Reason // why the file is not traced, or only in part; "" if it is traced completely
}

// Inventory returns all files that are known now and have probes, or may have some, sorted by path. It includes files
// that were not reported.
func (d *Discoverer) Inventory() []Entry {
	d.mu.Lock()
	defer d.mu.Unlock()
	mappers := make(map[*entry][]uint32)
	for _, p := range d.search.processes.table {
		for _, f := range p.files {
			if f.entry == nil {
				continue
			}
			// A process counts once for a file, even if it maps the file through two overlays.
			if pids := mappers[f.entry]; len(pids) == 0 || pids[len(pids)-1] != uint32(p.pid) {
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
