// SPDX-License-Identifier: Apache-2.0

package tracer

import "testing"

func TestProgramSleepsOnlyWhereTheKernelAllowsIt(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		major, minor  uint32
		multi, single bool // whether the program may sleep
	}{{5, 19, false, false}, {6, 0, true, false}, {6, 9, true, false}, {6, 10, true, true}, {7, 0, true, true}} {
		version := c.major<<16 | c.minor<<8
		if multi, single := MaySleep(version, true), MaySleep(version, false); multi != c.multi || single != c.single {
			t.Errorf("%d.%d: %v with uprobe_multi, %v with single uprobes", c.major, c.minor, multi, single)
		}
	}
}
