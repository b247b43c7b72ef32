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
	Record  event.Process // zero until it arrives
	Program any           // what Config.Identify returned

	// Trust is what Config.Finished found out about the process. It is valid until boot time TrustExpires, in ns, which is
	// 0 as long as nothing is known.
	Trust        shape.ProcessTrust
	TrustExpires uint64

	threads      map[uint32]*thread
	sweepAt      int     // number of threads at which those without contexts are removed
	newestThread *thread // the thread with the newest event; nil if unknown
	// sessions maps the sessions that the library reports to their unfinished handshakes.
	sessions map[key]*tree
	trees    map[*tree]struct{} // unfinished
	owner    *owner
	age      *list.Element // in owner.processes
	lost     uint64        // hits that the kernel lost so far
	losses   int           // how often lost has grown
}

// Owner returns the owner that the process counts against.
func (p *Process) Owner() Owner { return p.owner.Owner }

// noteLost records that hits were lost: any open tree may lack some.
func (p *Process) noteLost(lost uint64) {
	if lost > p.lost {
		p.losses++
	}
	p.lost = lost // smaller than before if the kernel forgot the process in between
}
