// SPDX-License-Identifier: Apache-2.0

package limits

import (
	"fmt"
	"testing"
	"time"
)

// at returns a Monitor whose clock shows *now.
func at(now *time.Time) *Monitor {
	return New(Config{Now: func() time.Time { return *now }})
}

func TestLinesComeAgainMoreRarely(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	m, begin := at(&now), now
	owner := Owner{"/a.service", ClassSystem}
	var lines []string
	for now.Sub(begin) < 3*time.Hour {
		if since, due := m.Reached(Files, owner, 1); due {
			lines = append(lines, fmt.Sprintf("%v:%d", now.Sub(begin), since))
		}
		now = now.Add(time.Second)
	}
	if got, want := fmt.Sprint(lines), "[0s:1 1m0s:60 3m0s:120 7m0s:240 15m0s:480 31m0s:960 1h3m0s:1920 2h3m0s:3600]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	now = now.Add(3 * time.Hour) // the owner had stopped reaching the limit
	if _, due := m.Reached(Files, owner, 1); !due {
		t.Error("a limit that is reached again is not logged")
	}
	now = now.Add(minPause)
	if _, due := m.Reached(Files, owner, 0); !due {
		t.Error("a limit that lasts is not logged again")
	}
}

func TestEveryOwnerHasLinesOfItsOwn(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	m := at(&now)
	for i := range maxLines + 10 {
		_, due := m.Reached(Files, Owner{fmt.Sprint("attacker ", i), ClassUser}, 2)
		if due != (i <= maxLines) { // owners beyond maxLines share one line
			t.Errorf("owner %d: %t", i, due)
		}
	}
	if _, due := m.Reached(Sites, Owner{"/victim.service", ClassSystem}, 1); !due {
		t.Error("attackers used up the warning about another owner")
	}
	if len(m.lines) > maxLines+2 {
		t.Errorf("%d lines", len(m.lines))
	}
	now = now.Add(2 * maxPause)
	if _, due := m.Reached(Files, Owner{"late", ClassUser}, 1); !due || len(m.lines) != 1 {
		t.Errorf("due %t with %d lines", due, len(m.lines))
	}
	counts := make(map[string]uint64)
	m.Each(func(l Limit, c Class, n uint64) { counts[string(l)+" "+string(c)] = n })
	if fmt.Sprint(counts) != fmt.Sprintf("map[files user:%d sites system:1]", 2*(maxLines+10)+1) {
		t.Errorf("got %v", counts)
	}
}

func TestObserve(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	m := at(&now)
	for i, c := range []struct {
		total, since uint64
		due          bool
	}{{0, 0, false}, {5, 5, true}, {7, 0, false}, {7, 0, false}, {8, 3, true}} {
		if i == 4 {
			now = now.Add(minPause)
		}
		if since, due := m.Observe(Ring, ClassUnknown, c.total); since != c.since || due != c.due {
			t.Errorf("%d: %d, %t", i, since, due)
		}
	}
	var none *Monitor
	none.Each(func(Limit, Class, uint64) { t.Error("nothing was counted") })
	if _, due := none.Reached(Files, Owner{}, 1); due {
		t.Error("nil logs")
	}
	if _, due := none.Observe(Files, ClassUser, 1); due {
		t.Error("nil logs")
	}
}
