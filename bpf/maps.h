/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The program's variables and maps. */
#ifndef CRAU_MAPS_H
#define CRAU_MAPS_H

/* Set before loading: uprobe programs may sleep, so that the program can read pages that are not resident. */
const volatile __u8 can_sleep = 0;

/* Number of included scopes. Only their data and data without a scope are recorded; 0 means all data. */
volatile __u32 scope_count = 0;

/*
 * Set before loading: the kernel may give the programs stacks that all tasks on a CPU share, see audit().
 */
const volatile __u8 shared_stacks = 0;

/* Set before loading: the number of hits of one process that are recorded in SECOND; 0 means unlimited. */
const volatile __u32 second_limit = 0;

/* Set before loading: only the processes in the map family are observed. */
const volatile __u8 family_only = 0;

/* Set before loading, by a benchmark that measures the cost of shares: owners and processes have none. */
const volatile __u8 no_shares = 0;

/* Set by the reader before it blocks: enum crau_wake. */
__u32 reader_waits = 0;

/* Incremented when the state that runs have cached about a process may be stale: after a loss, an exec or an exit. */
__u64 epoch = 0;

#define PAIR_ROOM (sizeof(struct crau_pair) + CRAU_MAX_KEY + 2 + CRAU_MAX_VALUE + 8)
#define RECORD_ROOM (sizeof(struct crau_record) + CRAU_MAX_PAIRS * PAIR_ROOM)

/*
 * The state of one run of the program on a CPU. A run can be preempted or sleep in a page fault while others run on the
 * same CPU, so there are several. Each is used by one program at a time, so it needs no atomic operations.
 */
struct run {
	__u32 taken;
	__u32 sleeps;	/* set while it sleeps in a page fault; cleared together with taken */
	__u64 epoch;	/* value of epoch when the fields below were cached */
	__u64 lost;	/* lost hits of the process at that time */
	__u64 owner;	/* owner of the process */
	__u64 sent;	/* CRAU_STAT_SENT: the number of sent records */
	__u32 tgid;	/* process of the last hit */
	__u32 hits;	/* hits since then that are not yet counted in the process's budget */
	__u32 bytes;	/* bytes of their records, not yet counted in the shares of the process and its owner */
	__u32 pad;
};

/* The state of a CPU. */
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

/* The included scopes. User space adds scopes before it increases scope_count. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 2 * CRAU_MAX_SCOPES); /* the old and the new ones during a change */
	__type(key, struct crau_scope);
	__type(value, __u8);
} scopes SEC(".maps");

/* The buffer in which a run assembles its record, with its progress. */
struct slot {
	__u32 len;
	__u32 strings_len;	/* as in the site's specification */
	__u32 run;	/* index of the run that uses it */
	__u32 waits;	/* pages that the run has waited for */
	__u64 page;	/* address in the page that it waits for; 0: none */
	__u64 waited;	/* the same for the previous page */
	__u64 strings;	/* address of the file's strings in the process */
	__u64 arg[8];	/* arguments, or the addresses of arguments in memory */
	struct {
		__u8 size;	/* bytes to read; 0: the argument is known */
		__u8 is_signed;
	} memory[8];
	__u32 next;	/* index of the next element */
	__u32 length;	/* number of elements */
	__u8 known;	/* the elements were found */
	__u8 byte;	/* a byte of the page, read to wait for it */
	__u8 pad[6];
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

/* Processes that have hit a probe or opened a connection, by tgid. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, __u32);
	__type(value, struct crau_budget);
} processes SEC(".maps");

/* The processes of a command's family that are alive, by tgid. User space adds the first, and process_fork the
 * others. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, __u32);
	__type(value, __u8);
} family SEC(".maps");

static __always_inline int observed(__u32 tgid) { return !family_only || bpf_map_lookup_elem(&family, &tgid); }

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 8 << 20);
} ring SEC(".maps");

/* Atomic, because other runs on the same CPU can interrupt this one. */
static __always_inline void count(enum crau_stat stat)
{
	__u32 zero = 0;
	struct cpu *cpu = bpf_map_lookup_elem(&cpus, &zero);

	if (cpu)
		__sync_fetch_and_add(&cpu->n[stat], 1);
}

/*
 * Reports whether an owner may have one more of the first runs of a CPU, or sleep in one more of them. As with the
 * ring, an owner may have at most as many as remain free, so that one remains for others. The run with this index is
 * not counted.
 */
static __always_inline int has_share(const struct cpu *cpu, __u32 runs, int sleeping, __u32 index, __u64 owner)
{
	__u32 used = 0, own = 0;

	for (__u32 i = 0; i < runs; i++) {
		const struct run *r = &cpu->runs[i];

		if (i == index || !(sleeping ? r->sleeps : r->taken))
			continue;
		used++;
		own += r->owner == owner;
	}
	return own <= runs - used;
}

/* Returns the flags for the next record: whether it wakes the reader. */
static __always_inline __u64 wakeup(void)
{
	if (*(volatile __u32 *)&reader_waits != CRAU_WAKE_NEXT)
		return BPF_RB_NO_WAKEUP;
	*(volatile __u32 *)&reader_waits = CRAU_WAKE_NEVER;
	return BPF_RB_FORCE_WAKEUP;
}

#endif
