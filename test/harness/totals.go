// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Totals contains the numbers of the log line "totals", by key. docs/accounting.md explains the keys.
type Totals map[string]int

var numberField = regexp.MustCompile(`([a-z_.]+)=(\d+)\b`)

// ParseTotals finds the line with the totals in a log in text format.
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

// ParseConnections finds the account of connections in a log in text format. It returns an error if seen is not the sum
// of the other connections. Counts of packets are not part of the sum.
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

// Lost returns the lost hits by loss reason, without reasons that lost nothing.
func (n Totals) Lost() map[string]int {
	lost := make(map[string]int)
	for key, value := range n {
		if reason, ok := strings.CutPrefix(key, "lost."); ok && value > 0 {
			lost[reason] = value
		}
	}
	return lost
}

// Accounted returns how many hits were exported or counted as lost. It equals hits if the accounting is exact.
func (n Totals) Accounted() int {
	sum := n["events.exported"] + n["events.session"]
	for _, lost := range n.Lost() {
		sum += lost
	}
	return sum
}

// Exact returns an error unless there were this many hits, all of which were exported or counted as lost.
func (n Totals) Exact(hits int) error {
	if n["hits"] != hits || n.Accounted() != hits {
		return fmt.Errorf("hits %d, exported and counted %d, fired %d: %v", n["hits"], n.Accounted(), hits, n)
	}
	return nil
}
