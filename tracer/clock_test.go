// SPDX-License-Identifier: Apache-2.0

package tracer_test

import (
	"sync"
	"testing"
	"time"

	"github.com/crau-otel/crau-otel/tracer"
)

func TestClockIsNearTheWallClock(t *testing.T) {
	c := tracer.NewClock()
	for range 3 {
		before := time.Now()
		boot := tracer.Now()
		after := time.Now()
		if got := c.Wall(boot); got.Before(before.Add(-time.Second)) || got.After(after.Add(time.Second)) {
			t.Errorf("boot time %d is %s, read between %s and %s", boot, got, before, after)
		}
		c.Sync()
	}
}

// Between two synchronizations, the distances between events are those that the kernel measured.
func TestClockKeepsDistances(t *testing.T) {
	c := tracer.NewClock()
	first := tracer.Now()
	for _, d := range []time.Duration{0, 1, time.Microsecond, 24 * time.Hour} {
		if got := c.Wall(first + uint64(d)).Sub(c.Wall(first)); got != d {
			t.Errorf("%s apart became %s", d, got)
		}
	}
}

func TestNowIsMonotone(t *testing.T) {
	last := tracer.Now()
	for range 1000 {
		now := tracer.Now()
		if now < last {
			t.Fatalf("%d after %d", now, last)
		}
		last = now
	}
	if last == 0 {
		t.Error("boot time is 0")
	}
}

func TestClockConcurrently(t *testing.T) {
	c := tracer.NewClock()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 100 {
				c.Sync()
				if d := time.Since(c.Wall(tracer.Now())); d < -time.Second || d > time.Second {
					t.Errorf("off by %s", d)
					return
				}
			}
		})
	}
	wg.Wait()
}
