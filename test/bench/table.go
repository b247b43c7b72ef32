// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

type printer = func(format string, args ...any)

func spread(s series) string {
	if len(s) == 0 {
		return ""
	}
	return fmt.Sprintf("%.1f (%.1f-%.1f)", s.median(), s.at(0.25), s.at(0.75))
}

func mib(n uint64) float64 { return float64(n) / (1 << 20) }

func reasons(lost map[string]int) string {
	if len(lost) == 0 {
		return "none"
	}
	var parts []string
	for _, reason := range slices.Sorted(maps.Keys(lost)) {
		parts = append(parts, fmt.Sprintf("%s=%d", reason, lost[reason]))
	}
	return strings.Join(parts, " ")
}
