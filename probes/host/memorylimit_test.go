// SPDX-License-Identifier: Apache-2.0

package host

import (
	"os"
	"path/filepath"
	"testing"
)

func TestSmallestMemoryLimitOfTheCgroupsCounts(t *testing.T) {
	t.Parallel()
	two, one := t.TempDir(), t.TempDir()
	for file, text := range map[string]string{
		two + "/a.slice/memory.max":            "1000\n",
		two + "/a.slice/b.service/memory.max":  "2000\n",
		two + "/a.slice/c.service/memory.max":  "500\n",
		two + "/d/memory.max":                  "max\n",
		one + "/memory.limit_in_bytes":         "9223372036854771712\n",
		one + "/docker/memory.limit_in_bytes":  "300\n",
		one + "/garbage/memory.limit_in_bytes": "-1\n",
	} {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	mounts := []mount{
		{point: two, kind: "cgroup2", options: "rw"},
		{point: one, kind: "cgroup", options: "rw,memory"},
		{point: two, kind: "cgroup", options: "rw,cpu"},
	}
	for groups, want := range map[string]uint64{
		"0::/a.slice/b.service\n": 1000, // the limit of a.slice is lower than that of b.service
		"0::/a.slice/c.service\n": 500,
		"0::/d\n":                 0,
		"0::/\n":                  0,
		"0::/gone\n":              0,
		"0::/../../a.slice\n":     1000,
		"":                        0,
		"nonsense\n":              0,
		"4:memory:/docker\n0::/a.slice/b.service\n": 300,
		"4:cpu,memory:/docker\n":                    300,
		"4:cpu:/docker\n":                           0,
		"4:memory:/garbage\n":                       0,
		"4:memory:/\n":                              0,
	} {
		if got, ok := memoryLimit(groups, mounts); got != want || ok != (want != 0) {
			t.Errorf("%q: got %d, %t; want %d", groups, got, ok, want)
		}
	}
}
