// SPDX-License-Identifier: Apache-2.0

package discover

import "time"

const (
	burst = 4 * time.Second // that a container may take at once
	share = 20              // of the time after that, one part in so many
)

// container is who has to share limits: a container, or a unit or user of the
// host.
type container struct {
	name      string
	processes int
	reported  quota      // files first seen in it
	refusals  int        // likewise, but refused
	mapped    int        // files of its processes
	queue     []*process // to look at, in turn
	ready     bool       // is in Discoverer.ready
	warned    bool       // that a file was refused

	spent time.Duration // not forgiven yet
	since time.Time     // when spent was right
}

// container returns the container of that cgroup.
func (d *Discoverer) container(cgroup string) *container {
	name := limitGroup(cgroup)
	c := d.containers[name]
	if c == nil {
		c = &container{name: name}
		d.containers[name] = c
	}
	return c
}

// dispose forgets a container that nothing is left of.
func (d *Discoverer) dispose(c *container) {
	if c.processes == 0 && c.reported.files == 0 && c.refusals == 0 && c.spent <= 0 {
		delete(d.containers, c.name)
	}
}

// affordable says whether the container may take more time now.
func (c *container) affordable(now time.Time) bool {
	c.spent = max(0, c.spent-now.Sub(c.since)/share)
	c.since = now
	return c.spent < burst
}

// enqueue has a process looked at when it is its container's turn.
func (d *Discoverer) enqueue(p *process) {
	if p.queued || p.gone {
		return
	}
	p.queued = true
	p.container.queue = append(p.container.queue, p)
	d.admit(p.container, time.Now())
}

// admit lets a container take part in the turns, if it has something to look
// at and has not had more than its share.
func (d *Discoverer) admit(c *container, now time.Time) {
	if !c.ready && len(c.queue) > 0 && c.affordable(now) {
		c.ready = true
		d.ready = append(d.ready, c)
	}
}

// turn looks at one process, or part of it, of the container whose turn it is.
// It returns false when there is nothing to do.
func (d *Discoverer) turn() bool {
	if len(d.ready) == 0 {
		return false
	}
	c := d.ready[0]
	d.ready[0] = nil
	d.ready = d.ready[1:]
	c.ready = false
	p := c.queue[0]
	c.queue[0] = nil
	c.queue = c.queue[1:]
	p.queued = false
	start := time.Now()
	if !p.gone {
		d.look(p, start)
	}
	end := time.Now()
	c.spent += end.Sub(start)
	if len(p.backlog) > 0 || p.more {
		d.enqueue(p)
	}
	d.admit(c, end)
	return true
}
