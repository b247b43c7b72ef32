// SPDX-License-Identifier: Apache-2.0

//go:build chaos

package chaos

import (
	"fmt"
	"path/filepath"

	"github.com/crau-otel/crau-otel/test/harness"
)

// step is a tree of the steady program in the form of [harness.Span.Text]; %d is its number.
const step = `app::step app.end=yes app.number=%d crypto.pqc.authentication.status=post_quantum
  pk::sign crypto.pqc.status=post_quantum pk.algorithm=ML-DSA-65 pk.bits=15616
`

// checkTotals checks that in a life every hit was exported or counted as lost, and that every network connection was
// counted.
func (l *life) checkTotals(n harness.Totals) {
	connections, err := harness.ParseConnections(l.agent.Log())
	if err != nil {
		l.t.Errorf("life %d: %v", l.number, err)
	}
	l.t.Logf("life %d: hits %d, exported %d, lost %v, connections %d, reported %d", l.number, n["hits"], n["events.exported"],
		n.Lost(), connections["seen"], connections["reported"])
	if err := n.Exact(n["hits"]); err != nil {
		l.t.Errorf("life %d: %v", l.number, err)
	}
	if n["hits"] == 0 || connections["reported"] == 0 {
		l.t.Errorf("life %d: nothing happened: %v, %v", l.number, n, connections)
	}
}

// checkUsage checks that the agent uses no more resources after all guests have ended than it did when they had ended
// earlier in the same life.
func (l *life) checkUsage(before, after usage) {
	l.t.Logf("life %d: without guests it had %v, later %v", l.number, before, after)
	if after.exceeds(before) {
		l.t.Errorf("life %d: %v after two minutes, and before %v; open are %v", l.number, after, before, l.open())
	}
}

// check checks that the trees of the steady programs arrived whole.
func (s *steady) check(spans []*harness.Span) {
	s.t.Helper()
	var steps, handshakes []*harness.Span
	for _, span := range harness.Unique(spans) {
		switch span.Resource["service.name"] {
		case filepath.Base(s.path):
			steps = append(steps, span)
		case filepath.Base(s.sample):
			handshakes = append(handshakes, span)
		}
	}
	harness.CheckPairs(s.t, filepath.Base(s.sample), handshakes, s.pairs)

	byNumber := make(map[int]string)
	outside := 0
	for _, root := range harness.Trees(s.t, steps) {
		n := number(root)
		if byNumber[n] += root.Text(); !s.inWindow(n) {
			outside++
		}
	}
	whole := 0
	for _, w := range s.windows {
		wrong := 0
		for n := w.first; n <= w.last; n++ {
			if got, want := byNumber[n], fmt.Sprintf(step, n); got == want {
				whole++
			} else if wrong++; wrong == 1 {
				s.t.Errorf("life %d, steps %d to %d: step %d differs\ngot:\n%swant:\n%s", w.life, w.first, w.last, n, got, want)
			}
		}
		if wrong > 1 {
			s.t.Errorf("life %d, steps %d to %d: %d differ", w.life, w.first, w.last, wrong)
		}
	}
	s.t.Logf("%d steps in %d lives are whole, %d arrived that need not; %d pairs of handshakes", whole, len(s.windows), outside, s.pairs)
}

func (s *steady) inWindow(n int) bool {
	for _, w := range s.windows {
		if n >= w.first && n <= w.last {
			return true
		}
	}
	return false
}

// number returns the number of a step from its root span, or 0 for any other span.
func number(span *harness.Span) int {
	n, _ := span.Attributes["app.number"].(int64)
	return int(n)
}
