// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"math"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Clock converts the kernel's boot time to wall-clock time. It is safe for concurrent use.
type Clock struct {
	offset atomic.Int64 // CLOCK_REALTIME - CLOCK_BOOTTIME, ns
}

// NewClock returns a synchronized clock.
func NewClock() *Clock {
	c := &Clock{}
	c.Sync()
	return c
}

// Sync measures the offset between the two clocks, which changes when the wall clock is set or slewed. It reads the
// clocks several times and uses the reading that took the least time.
func (c *Clock) Sync() {
	best := int64(math.MaxInt64)
	for range 5 {
		before := now(unix.CLOCK_BOOTTIME)
		wall := now(unix.CLOCK_REALTIME)
		after := now(unix.CLOCK_BOOTTIME)
		if d := after - before; d < best {
			best = d
			c.offset.Store(wall - before - d/2)
		}
	}
}

// Wall returns the wall-clock time of a boot time in ns.
func (c *Clock) Wall(boot uint64) time.Time {
	return time.Unix(0, int64(boot)+c.offset.Load())
}

// Now returns the boot time in ns.
func Now() uint64 {
	return uint64(now(unix.CLOCK_BOOTTIME))
}

func now(clock int32) int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(clock, &ts); err != nil {
		panic("clock_gettime: " + err.Error()) // both clocks exist on every kernel that loads the program
	}
	return ts.Nano()
}
