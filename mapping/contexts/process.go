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

	// Trust is what Config.Finished knew about the process, until boot time TrustExpires, in ns; 0 if it knows nothing yet.
	Trust        shape.ProcessTrust
	TrustExpires uint64

	threads      map[uint32]*thread
	sweepAt      int     // number of threads at which those without contexts are removed
	newestThread *thread // the one of threads whose event came last; nil if unknown
	// sessions has the unfinished handshakes by the library's session, where the library reports it.
	sessions map[key]*tree
	trees    map[*tree]struct{} // unfinished
	owner    *owner
	age      *list.Element // in owner.processes
	lost     uint64        // hits that the kernel lost so far
	losses   int           // how often that number grew
}

// Owner returns whose share of the limits the process counts against.
func (p *Process) Owner() Owner { return p.owner.Owner }

// noteLost notes that hits were lost: any tree that is open may lack some.
func (p *Process) noteLost(lost uint64) {
	if lost > p.lost {
		p.losses++
	}
	p.lost = lost // smaller than before if the kernel forgot the process in between
}
