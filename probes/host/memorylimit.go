// SPDX-License-Identifier: Apache-2.0

package host

import (
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
)

// noLimit is the smallest value that means "no limit" in cgroup version 1.
const noLimit = 1 << 62

// MemoryLimit returns how much memory the cgroups of this process allow, in bytes. ok is false if they set no limit.
func MemoryLimit() (limit uint64, ok bool) {
	groups, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return 0, false
	}
	var mounts []mount
	_ = eachMount(ownMounts, func(m mount) bool {
		mounts = append(mounts, m)
		return true
	})
	return memoryLimit(string(groups), mounts)
}

// memoryLimit does what [MemoryLimit] does, for the content of a /proc/PID/cgroup file and a mount table.
func memoryLimit(groups string, mounts []mount) (limit uint64, ok bool) {
	for line := range strings.Lines(groups) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) != 3 {
			continue
		}
		kind, file := "cgroup2", "memory.max"
		if slices.Contains(strings.Split(fields[1], ","), "memory") {
			kind, file = "cgroup", "memory.limit_in_bytes"
		} else if fields[1] != "" {
			continue
		}
		for _, m := range mounts {
			if m.kind != kind || kind == "cgroup" && !slices.Contains(strings.Split(m.options, ","), "memory") {
				continue
			}
			// In a cgroup namespace, the path may lead out of the mount. The limits of the cgroups outside cannot be read.
			for group := path.Join("/", fields[2]); ; group = path.Dir(group) {
				if n, limited := readLimit(path.Join(m.point, group, file)); limited && (!ok || n < limit) {
					limit, ok = n, true
				}
				if group == "/" {
					break
				}
			}
		}
	}
	return limit, ok
}

// readLimit reads a memory limit. ok is false if the file is missing or contains "max": there is no limit then.
func readLimit(file string) (limit uint64, ok bool) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
	return n, err == nil && n < noLimit
}
