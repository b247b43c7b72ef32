// SPDX-License-Identifier: Apache-2.0

// Package resources keeps the agent within the limits that the system imposes on it: the memory of its cgroup, and
// RLIMIT_NOFILE.
//
//	resources.LimitHeap()
//	cfg, more, lowered := resources.Fit(cfg, resources.Memory())
//
// It can lower limits of the configuration, and never raises one.
package resources

import (
	"os"
	"runtime/debug"

	"golang.org/x/sys/unix"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/config"
	"github.com/crau-otel/crau-otel/probes/host"
)

const (
	// enough is the memory, in bytes, that suffices for the default limits under any load (docs/limits.md).
	enough = 256 << 20
	// defaultHeap is the default of the garbage collector's soft memory limit, in bytes.
	defaultHeap = 110 << 20
	// ownDescriptors is the number of descriptors that the agent needs for everything except files with probes: BPF
	// programs and maps, connections to receivers, helper threads.
	ownDescriptors = 96
)

// LimitHeap configures the garbage collector. It makes collections rarer than by default, which saves a fifth of the
// agent's CPU time under load (docs/performance.md). It also sets a soft memory limit that fits the cgroup's memory;
// near this limit, collections become more frequent. The environment variables GOGC and GOMEMLIMIT override these two
// settings.
func LimitHeap() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(heap(Memory()))
	}
}

// Memory returns the memory limit of the cgroup, in bytes, or 0 if there is no limit.
func Memory() uint64 {
	memory, _ := host.MemoryLimit()
	return memory
}

// heap returns the soft memory limit, in bytes, if the cgroup allows memory bytes. The other half of the cgroup's
// memory is for what the kernel also charges to the cgroup, such as the ring buffer and BPF maps, and for the pages of
// the agent's executable.
func heap(memory uint64) int64 {
	if memory == 0 || memory >= 2*defaultHeap {
		return defaultHeap
	}
	return int64(memory / 2)
}

// Fitted contains limits that Fit derives from the memory limit of the cgroup, but that are not part of the
// configuration.
type Fitted struct {
	Strings int // bytes of copies of files' string constants; 0 means the default
	Facts   int // files without probes that discovery remembers; 0 means the default
}

// Fit lowers limits of c so that the agent stays within memory bytes; 0 means that the cgroup has no limit. It returns
// the lowered configuration, further limits, and the names of the keys that it lowered.
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

// Descriptors returns the number of descriptors that are available for files with probes; 0 if it is unknown.
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
