// SPDX-License-Identifier: Apache-2.0

package inventory

import (
	"fmt"
	"slices"

	"github.com/cilium/ebpf/link"

	"github.com/crau-otel/crau-otel/probes"
	"github.com/crau-otel/crau-otel/probes/discover"
)

// attachedSites holds the file offsets of the sites of each uprobe_multi link on this host.
type attachedSites [][]uint64

// tracedFiles returns the sites that the kernel reports as attached by any program, which include those of all agents.
func tracedFiles() (attachedSites, error) {
	var sites attachedSites
	var links link.Iterator
	defer links.Close()
	for links.Next() {
		info, err := links.Link.Info()
		if err != nil {
			continue // the link was released in the meantime
		}
		if multi := info.UprobeMulti(); multi != nil {
			offsets, _ := multi.Offsets()
			of := make([]uint64, len(offsets))
			for i, o := range offsets {
				of[i] = o.Offset
			}
			sites = append(sites, of)
		}
	}
	if err := links.Err(); err != nil {
		return nil, fmt.Errorf("list attached files, which needs CAP_SYS_ADMIN: %w", err)
	}
	return sites, nil
}

// has reports whether all sites of a file are attached: the kernel inserts a breakpoint at each site when the file is
// mapped, and the offsets of one link include all sites. The path of the link is not compared, because the agent may
// have reached the file by another path.
func (a attachedSites) has(f *discover.File) bool {
	file, err := f.Dup()
	if err != nil {
		return false
	}
	defer file.Close()
	n, err := probes.CountBreakpoints(file, f.Probes.Sites)
	if err != nil || n < len(f.Probes.Sites) {
		return false
	}
	return slices.ContainsFunc(a, func(offsets []uint64) bool {
		return !slices.ContainsFunc(f.Probes.Sites, func(s probes.Site) bool {
			return !slices.ContainsFunc(s.Offsets(), func(offset uint64) bool { return slices.Contains(offsets, offset) })
		})
	})
}
