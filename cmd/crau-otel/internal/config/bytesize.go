// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// ByteSize is a number of bytes, written as a whole number with or without one of the units B, KiB, MiB and GiB.
type ByteSize uint64

// The units of a [ByteSize].
const (
	KiB ByteSize = 1 << 10
	MiB ByteSize = 1 << 20
	GiB ByteSize = 1 << 30
)

// units are in descending order. B must be last, because it is a suffix of the others.
var units = []struct {
	name  string
	bytes ByteSize
}{{"GiB", GiB}, {"MiB", MiB}, {"KiB", KiB}, {"B", 1}}

// String formats s in the largest unit of which s is a whole multiple. [ByteSize.UnmarshalText] accepts the result.
func (s ByteSize) String() string {
	for _, u := range units {
		if s >= u.bytes && s%u.bytes == 0 {
			return strconv.FormatUint(uint64(s/u.bytes), 10) + u.name
		}
	}
	return "0B"
}

// UnmarshalText sets s to the size that text describes, such as 8MiB or 8388608.
func (s *ByteSize) UnmarshalText(text []byte) error {
	number, unit := string(text), ByteSize(1)
	for _, u := range units {
		if n, ok := strings.CutSuffix(number, u.name); ok {
			number, unit = n, u.bytes
			break
		}
	}
	n, err := strconv.ParseUint(strings.TrimPrefix(number, "+"), 10, 64)
	if err != nil || !decimal.MatchString(number) || n > math.MaxUint64/uint64(unit) {
		return fmt.Errorf("must be %s, got %q", sizeForm, text)
	}
	*s = ByteSize(n) * unit
	return nil
}
