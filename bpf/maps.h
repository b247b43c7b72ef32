/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What the program is told before it is loaded, and its maps. */
#ifndef CRAU_MAPS_H
#define CRAU_MAPS_H

/* Set before loading: the kernel lets uprobe programs sleep, so pages that are not resident can be faulted in. */
const volatile __u8 can_sleep = 0;

/* How many scopes there are. Only data of these is kept, and data without a scope; none means all. */
volatile __u32 scope_count = 0;

/* Set before loading: the most hits of one process that are taken in SECOND; 0 means any number. */
const volatile __u32 second_limit = 0;

/* Set by the reader when it is about to block: enum crau_wake. */
__u32 reader_waits = 0;

/* Grows whenever what a run remembers of a process may no longer hold: a loss, an exec, an exit. */
__u64 epoch = 0;

#define PAIR_ROOM (sizeof(struct crau_pair) + CRAU_MAX_KEY + 2 + CRAU_MAX_VALUE + 8)
#define RECORD_ROOM (sizeof(struct crau_record) + CRAU_MAX_PAIRS * PAIR_ROOM)

/*
 * A program may be preempted, or sleep in a page fault, and another run on the same CPU: hence several runs, each taken
 * by one program at a time, which may change it without atomic operations.
 */
struct run {
	__u32 taken;
	__u32 tgid;	/* the last hit's process */
	__u64 epoch;	/* of what is remembered of it */
	__u64 lost;	/* hits of it lost until then */
	__u32 hits;	/* of it, taken since then */
	__u32 pad;
	__u64 sent;	/* what CRAU_STAT_SENT counts */
};

/* What a CPU counts and remembers. */
struct cpu {
	struct run runs[CRAU_RUNS];
	__u64 n[CRAU_STATS];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct cpu);
} cpus SEC(".maps");

/* Filled before scope_count is set. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 2 * CRAU_MAX_SCOPES); /* for a moment, those of before and of after a change */
	__type(key, struct crau_scope);
	__type(value, __u8);
} scopes SEC(".maps");

/* Where a run puts its record together. */
struct slot {
	__u32 len;
	__u32 room;	/* as in the site's specification */
	__u64 strings;	/* likewise, where they are loaded */
	struct crau_scope scope;
	struct crau_element elements[CRAU_MAX_PAIRS];
	__u8 record[RECORD_ROOM];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, CRAU_RUNS);
	__type(key, __u32);
	__type(value, struct slot);
} slots SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 16384);
	__type(key, __u32);
	__type(value, struct crau_spec);
} sites SEC(".maps");

/* Processes whose crau_process record was sent, by tgid. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, __u32);
	__type(value, struct crau_budget);
} processes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 8 << 20);
} ring SEC(".maps");

/* Atomic, since a run on the same CPU can come in between. */
static __always_inline void count(enum crau_stat what)
{
	__u32 zero = 0;
	struct cpu *cpu = bpf_map_lookup_elem(&cpus, &zero);

	if (cpu)
		__sync_fetch_and_add(&cpu->n[what], 1);
}

static __always_inline __u64 wakeup(void)
{
	if (*(volatile __u32 *)&reader_waits != CRAU_WAKE_NEXT)
		return BPF_RB_NO_WAKEUP;
	*(volatile __u32 *)&reader_waits = CRAU_WAKE_NEVER;
	return BPF_RB_FORCE_WAKEUP;
}

/* Has the next record wake up a reader that sleeps until the ring fills, if it does. */
static __always_inline void look_at_ring(void)
{
	if (*(volatile __u32 *)&reader_waits == CRAU_WAKE_FILL &&
	    bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA) > bpf_ringbuf_query(&ring, BPF_RB_RING_SIZE) / CRAU_FILLS)
		*(volatile __u32 *)&reader_waits = CRAU_WAKE_NEXT;
}

#endif
