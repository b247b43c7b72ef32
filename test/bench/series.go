// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"math"
	"slices"
)

// series is a figure of several rounds.
type series []float64

func (s *series) add(v float64) { *s = append(*s, v) }

// at returns the value below which the share q of the rounds lies.
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

// MarshalJSON writes the median and the quartiles.
func (s series) MarshalJSON() ([]byte, error) {
	if len(s) == 0 {
		return []byte("null"), nil
	}
	return json.Marshal(map[string]any{"median": s.median(), "q1": s.at(0.25), "q3": s.at(0.75), "rounds": len(s)})
}

// IsZero reports whether there is nothing to write.
func (s series) IsZero() bool { return len(s) == 0 }
