// SPDX-License-Identifier: Apache-2.0

// Package resources keeps the agent within its limits from the system: the memory of its cgroup, and RLIMIT_NOFILE.
//
//	resources.LimitHeap()
//	cfg, more, lowered := resources.Fit(cfg, resources.Memory())
//
// It lowers limits of the configuration and never raises any.
package resources

import (
	"os"
	"runtime/debug"

	"golang.org/x/sys/unix"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/config"
	"github.com/crau-otel/crau-otel/probes/host"
)

const (
	// enough is the memory that suffices for the default limits under any load: docs/limits.md.
	enough = 256 << 20
	// defaultHeap is the soft limit of the heap, in bytes.
	defaultHeap = 110 << 20
	// ownDescriptors is how many descriptors the agent needs for everything except files with probes: programs and maps of
	// BPF, connections to receivers, helper threads.
	ownDescriptors = 96
)

// LimitHeap configures the garbage collector. It runs less often than by default, which saves a fifth of the agent's
// CPU time under load (docs/performance.md), and more often near a limit, which follows from the memory that the cgroup
// allows. GOGC and GOMEMLIMIT override it.
func LimitHeap() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(heap(Memory()))
	}
}

// Memory returns how many bytes of memory the cgroup allows, or 0 if it does not limit them.
func Memory() uint64 {
	memory, _ := host.MemoryLimit()
	return memory
}

// heap returns the limit of the heap. Half of the cgroup's memory is reserved for the kernel, which counts the ring
// buffer and the maps there, and for the pages of the agent's own program.
func heap(memory uint64) int64 {
	if memory == 0 || memory >= 2*defaultHeap {
		return defaultHeap
	}
	return int64(memory / 2)
}

// Fitted contains limits of the agent that are not in the configuration.
type Fitted struct {
	Strings int // bytes of copies of files' strings; 0: default
	Facts   int // files that discovery remembers; 0: default
}

// Fit lowers limits so that the agent stays within the memory that its cgroup allows; 0 means no limit. It returns the
// keys that it lowered.
func Fit(c config.Config, memory uint64) (fit config.Config, more Fitted, lowered []string) {
	if memory == 0 || memory >= enough {
		return c, more, nil
	}
	m := config.ByteSize(memory)
	ring := 64 * config.KiB
	for ring*2 <= m/32 {
		ring *= 2
	}
	part := func(of int) int { return max(1, int(uint64(of)*memory/enough)) }
	bytes := max(config.MiB, m/16)
	lowered = lower(lowered, "ring.size", &c.Ring.Size, ring)
	lowered = lower(lowered, "limits.open_bytes", &c.Limits.OpenBytes, bytes)
	lowered = lower(lowered, "limits.queue_bytes", &c.Limits.QueueBytes, bytes)
	lowered = lower(lowered, "limits.open_contexts", &c.Limits.OpenContexts, part(65536))
	lowered = lower(lowered, "limits.processes", &c.Limits.Processes, part(8192))
	lowered = lower(lowered, "metrics.max_series", &c.Metrics.MaxSeries, max(16, part(4000)))
	lowered = lower(lowered, "discovery.max_files", &c.Discovery.MaxFiles, max(64, part(2048)))
	return c, Fitted{Strings: int(bytes), Facts: part(1 << 18)}, lowered
}

func lower[T config.ByteSize | int](keys []string, key string, value *T, most T) []string {
	if *value <= most {
		return keys
	}
	*value = most
	return append(keys, key)
}

// Descriptors returns how many descriptors are available for files with probes.
func Descriptors() int {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0
	}
	return descriptors(limit.Cur)
}

func descriptors(limit uint64) int {
	limit = min(limit, 1<<20)
	if limit < 2*ownDescriptors {
		return int(limit / 2)
	}
	return int(limit - ownDescriptors)
}
