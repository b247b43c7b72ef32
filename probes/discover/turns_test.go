// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"os"
	"slices"
	"testing"
	"time"

	"github.com/crau-otel/crau-otel/test/needs"

	"github.com/crau-otel/crau-otel/probes/host"
)

// TestOwnerThatUsedUpItsTimeWaits checks that an owner that has used up its share of time waits.
func TestOwnerThatUsedUpItsTimeWaits(t *testing.T) {
	t.Parallel()
	now := time.Now()
	c := &owner{spent: burst - 1, spentSince: now}
	if !c.affordable(now) {
		t.Error("less than the burst is too much")
	}
	c.spent = burst + time.Second
	for _, step := range []struct {
		after time.Duration
		want  bool
	}{{0, false}, {share*time.Second - 1, false}, {share, false}, {share, true}} {
		now = now.Add(step.after)
		if got := c.affordable(now); got != step.want {
			t.Errorf("after %v: %t, with %v spent", step.after, got, c.spent)
		}
	}
	if c.affordable(now.Add(time.Hour)); c.spent != 0 {
		t.Errorf("after an hour: %v spent", c.spent)
	}

	now = now.Add(time.Hour)
	c.affordable(now)
	c.spend(time.Hour)
	if c.affordable(now.Add(maxPause-time.Second)) || !c.affordable(now.Add(maxPause+share)) {
		t.Errorf("after an hour's use it does not wait for %v", maxPause)
	}

	// Owners take turns, regardless of the number of their processes.
	w := discover(t, Config{})
	turns := w.search.turns
	many, one := turns.owner(0, "/many.service"), turns.owner(0, "/one.service")
	add := func(o *owner) { turns.enqueue(&process{finder: finder{owner: o}, pid: 1 << 31, statm: -1}) }
	for _, o := range []*owner{many, many, many, one} {
		add(o)
	}
	var order []string
	for len(turns.ready) > 0 {
		order = append(order, turns.ready[0].owner.name)
		w.search.step()
	}
	if want := []string{many.name, one.name, many.name, many.name}; !slices.Equal(order, want) {
		t.Errorf("turns of %q, want %q", order, want)
	}
	// An owner that has used up its share waits.
	many.spent = 2 * burst
	add(many)
	add(one)
	if len(turns.ready) != 1 || turns.ready[0].owner != one {
		t.Errorf("%d owners take turns", len(turns.ready))
	}
}

// TestUsersOutsideOfCgroups checks that users without cgroups have separate shares.
func TestUsersOutsideOfCgroups(t *testing.T) {
	t.Parallel()
	needs.Root(t)
	l := newLocator()
	t.Cleanup(func() { _ = l.close() })
	for user, want := range map[uint32]string{1001: "user 1001 user", 0: "user 0 root", 33: "user 33 system"} {
		if name, class := l.locate(user, "/"); name+" "+string(class) != want {
			t.Errorf("got %s, %s; want %s", name, class, want)
		}
	}
	if user, err := host.Process(os.Getpid()).User(); err != nil || user != uint32(os.Geteuid()) {
		t.Errorf("this process is user %d's, %v", user, err)
	}
}
