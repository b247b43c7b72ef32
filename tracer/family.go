// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
)

// Follow makes a process observed where Config.Family says that not all are, and with it every process that descends from
// it from now on, whoever becomes its parent. The id is that of the initial PID namespace.
func (t *Tracer) Follow(pid uint32) error {
	if err := t.objs.Family.Put(pid, uint8(1)); err != nil {
		return fmt.Errorf("follow process %d: %w", pid, err)
	}
	return nil
}

// Followed returns how many processes that are followed live.
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
	// Processes that end meanwhile can abort the iteration.
	if err := all.Err(); err != nil && !errors.Is(err, ebpf.ErrIterationAborted) {
		return n, fmt.Errorf("count followed processes: %w", err)
	}
	return n, nil
}
