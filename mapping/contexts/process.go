// SPDX-License-Identifier: Apache-2.0

package contexts

import (
	"container/list"

	"github.com/crau-otel/crau-otel/mapping/shape"
	"github.com/crau-otel/crau-otel/tracer/event"
)

// Process is an observed process.
type Process struct {
	PID     uint32
	Record  event.Process // zero until the ProcessStart event arrives
	Program any           // what Config.Identify returned

	// Trust is a cache for Config.Finished, which judges the process. It is valid until boot time TrustExpires, in ns; 0
	// means that it is not valid.
	Trust        shape.ProcessTrust
	TrustExpires uint64

	threads      map[uint32]*thread
	sweepAt      int     // number of threads at which those without contexts are removed
	newestThread *thread // thread of the newest event; nil if unknown
	// sessions maps each session that a library reports to its unfinished handshake.
	sessions map[key]*tree
	trees    map[*tree]struct{} // unfinished trees of the process
	owner    *owner
	age      *list.Element // position in owner.processes
	lost     uint64        // hits that the kernel lost so far
	losses   int           // how many times lost has grown
}

// Owner returns the owner that the process counts against.
func (p *Process) Owner() Owner { return p.owner.Owner }

// noteLost records the kernel's count of lost hits. If it has grown, any open tree of the process may be incomplete.
func (p *Process) noteLost(lost uint64) {
	if lost > p.lost {
		p.losses++
	}
	p.lost = lost // smaller than before if the kernel forgot the process and counts from 0 again
}
