// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
)

// Follow starts to observe a process, and every process that descends from it from now on, even if its parent changes.
// It is for a Tracer with Config.Family, which observes no other processes. pid is the process's id in the initial PID
// namespace.
func (t *Tracer) Follow(pid uint32) error {
	if err := t.objs.Family.Put(pid, uint8(1)); err != nil {
		return fmt.Errorf("follow process %d: %w", pid, err)
	}
	return nil
}

// Followed returns the number of followed processes that are alive.
func (t *Tracer) Followed() (n int, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return 0, nil
	}
	var pid uint32
	var value uint8
	all := t.objs.Family.Iterate()
	for all.Next(&pid, &value) {
		n++
	}
	// Processes that end during the iteration can abort it.
	if err := all.Err(); err != nil && !errors.Is(err, ebpf.ErrIterationAborted) {
		return n, fmt.Errorf("count followed processes: %w", err)
	}
	return n, nil
}
