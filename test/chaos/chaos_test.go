// SPDX-License-Identifier: Apache-2.0

//go:build chaos

package chaos

import (
	"flag"
	"math/rand/v2"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/crau-otel/crau-otel/test/harness"
)

var (
	duration = flag.Duration("duration", 5*time.Minute, "how long the chaos lasts; at least two lives of the agent")
	seed     = flag.Uint64("seed", 0, "of what happens; 0: a new one")
)

// chaos holds what all lives of the agent share.
type chaos struct {
	t        *testing.T
	programs *programs
	guests   *guests
	receiver *harness.Receiver
	steady   *steady
}

// ends are the ways in which a life of the agent can end. Each series of len(ends) lives has each of them once, in
// random order.
var ends = []struct {
	name string
	end  func(*life)
}{
	{"killed", (*life).kill},
	{"killed while frozen", (*life).killFrozen},
	{"stopped by SIGTERM", func(l *life) { l.stop(syscall.SIGTERM) }},
}

func TestChaos(t *testing.T) {
	harness.RequireBPF(t)
	harness.ExpectNoOops(t)
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano())
	}
	t.Logf("again with: -seed %d -duration %v", *seed, *duration)
	p := build(t)
	c := &chaos{t: t, programs: p, guests: newGuests(t, p, *seed)}
	c.guests.rehearse(2)
	c.steady = startSteady(t, p)
	c.receiver = harness.Receive(t, harness.ReceiverConfig{Keep: c.steady.owns}).Receiver

	random := c.guests.random("lives")
	began := time.Now()
	c.guests.open()
	var order []int
	lives := 0
	for ; lives < len(ends) || time.Since(began) < *duration; lives++ {
		if len(order) == 0 {
			order = random.Perm(len(ends))
		}
		c.live(lives+1, random, ends[order[0]].name, ends[order[0]].end)
		order = order[1:]
		if t.Failed() {
			break
		}
	}
	c.guests.close()
	harness.Finish(t, c.steady.cmd)
	c.steady.check(c.receiver.Spans())
	t.Logf("%v, %d lives, seed %d", time.Since(began).Round(time.Second), lives, *seed)
	t.Logf("%d guests that overwrote files while the agent was killed did not end well", c.guests.harmed.Load())
	for _, k := range kinds {
		n := c.guests.visits[k.name].Load()
		t.Logf("%4d visits: %s", n, k.name)
		if n == 0 {
			t.Errorf("no guest of kind %s came", k.name)
		}
	}
}

// live runs one life of the agent, in which every event happens once, in random order.
func (c *chaos) live(number int, random *rand.Rand, name string, end func(*life)) {
	l := c.begin(number)
	wait := c.steady.handshakes(60 + random.IntN(60))
	var before, after usage
	for i, n := range random.Perm(len(events)) {
		time.Sleep(jitter(random, 3*time.Second))
		c.t.Logf("life %d: %s", number, events[n].name)
		events[n].happen(l)
		if i == 0 {
			c.guests.quiet(func() { before = l.settle(nil) })
		}
	}
	time.Sleep(jitter(random, 3*time.Second))
	c.guests.quiet(func() { after = l.settle(&before) })
	l.checkUsage(before, after)
	wait()
	time.Sleep(jitter(random, time.Second)) // let guests run again before the life ends
	end(l)
	c.t.Logf("life %d: %s", number, name)
}

// owns reports whether a span comes from one of the steady programs.
func (s *steady) owns(span *harness.Span) bool {
	service := span.Resource["service.name"]
	return service == filepath.Base(s.path) || service == filepath.Base(s.sample)
}
