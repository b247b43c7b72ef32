// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Totals are the numbers in the agent's log line "totals", by key. docs/accounting.md explains the keys.
type Totals map[string]int

var numberField = regexp.MustCompile(`([a-z_.]+)=(\d+)\b`)

// ParseTotals finds the log line "totals" in a log in text format.
func ParseTotals(log string) (Totals, error) { return parseTotals(log, "totals") }

func parseTotals(log, message string) (Totals, error) {
	for line := range strings.Lines(log) {
		_, fields, ok := strings.Cut(line, "msg="+message+" ")
		if !ok {
			continue
		}
		totals := make(Totals)
		for _, m := range numberField.FindAllStringSubmatch(fields, -1) {
			n, err := strconv.Atoi(m[2])
			if err != nil {
				return nil, fmt.Errorf("parse %s: %w", message, err)
			}
			totals[m[1]] = n
		}
		return totals, nil
	}
	return nil, fmt.Errorf("parse %s: none in the log", message)
}

// ParseConnections finds the log line "connections", which counts network connections, in a log in text format. It
// returns an error if the counter seen is not the sum of all other counters of connections. Counters of packets are not
// part of the sum.
func ParseConnections(log string) (Totals, error) {
	n, err := parseTotals(log, "connections")
	if err != nil {
		return nil, err
	}
	sum := 0
	for key, value := range n {
		if !strings.HasPrefix(key, "packets.") {
			sum += value
		}
	}
	if n["seen"] == 0 || sum != 2*n["seen"] {
		return n, fmt.Errorf("connections do not add up: %v", n)
	}
	return n, nil
}

// Lost returns the number of lost hits by loss reason. Reasons with no lost hits are omitted.
func (n Totals) Lost() map[string]int {
	lost := make(map[string]int)
	for key, value := range n {
		if reason, ok := strings.CutPrefix(key, "lost."); ok && value > 0 {
			lost[reason] = value
		}
	}
	return lost
}

// Accounted returns how many hits were exported, belonged to a session, or were counted as lost. If the accounting is
// exact, it equals the number of hits.
func (n Totals) Accounted() int {
	sum := n["events.exported"] + n["events.session"]
	for _, lost := range n.Lost() {
		sum += lost
	}
	return sum
}

// Exact returns an error unless the number of hits is hits, and every hit was exported or counted as lost.
func (n Totals) Exact(hits int) error {
	if n["hits"] != hits || n.Accounted() != hits {
		return fmt.Errorf("hits %d, exported and counted %d, fired %d: %v", n["hits"], n.Accounted(), hits, n)
	}
	return nil
}
