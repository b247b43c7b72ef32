// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestSummaryHasTheWorstRoundOfEachLoad(t *testing.T) {
	round := func(lost, us float64) *sustained {
		return &sustained{Load: "trees", Agent: "new", Wanted: 1, PerSecond: 1, LostShare: lost, AgentNsPerEvent: us * 1000}
	}
	cfg := config{agents: []candidate{{name: "new"}}}
	r := &report{Loads: []*sustained{round(0, 1.2), round(0.02, 1.3), round(0, 1.1)}, Missing: []string{"wire: no program nginx"}}
	r.judge(cfg)
	var out bytes.Buffer
	r.print(&out, cfg)
	_, summary, _ := strings.Cut(out.String(), "Limits")
	summary = strings.Join(strings.Fields(summary), " ")
	for _, want := range []string{
		"load trees: events lost, % new 2.00 0.00 MISSED",
		"load trees: CPU of the agent, us an event new 1.30 1.50 kept",
		"4 of 5 limits kept, 1 missed.",
		"Not measured: wire: no program nginx.",
	} {
		if !strings.Contains(summary, want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	if r.kept() {
		t.Error("a lost event keeps the limit")
	}
}
