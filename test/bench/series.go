// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
)

// series contains one figure of each round.
type series []float64

func (s *series) add(v float64) { *s = append(*s, v) }

// at returns the q-quantile of the rounds, 0 <= q <= 1.
func (s series) at(q float64) float64 {
	if len(s) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(s))
	i := q * float64(len(sorted)-1)
	low, high := int(math.Floor(i)), int(math.Ceil(i))
	return sorted[low] + (sorted[high]-sorted[low])*(i-float64(low))
}

func (s series) median() float64 { return s.at(0.5) }

// interval returns the 95% confidence interval of the median, which holds for any distribution of the rounds. Its ends
// are the figures at a number of ranks below and above the middle.
func (s series) interval() (low, high float64) {
	n := float64(len(s))
	half := 0.98 / math.Sqrt(max(n, 1))
	return s.at(max(0, 0.5-half)), s.at(min(1, 0.5+half))
}

// estimate formats the median with its confidence interval.
func (s series) estimate() string {
	low, high := s.interval()
	return fmt.Sprintf("%.2f (%.2f-%.2f)", s.median(), low, high)
}

// MarshalJSON encodes the median, its confidence interval and the quartiles.
func (s series) MarshalJSON() ([]byte, error) {
	if len(s) == 0 {
		return []byte("null"), nil
	}
	low, high := s.interval()
	return json.Marshal(map[string]any{
		"median": s.median(), "q1": s.at(0.25), "q3": s.at(0.75), "low": low, "high": high, "rounds": len(s),
	})
}
