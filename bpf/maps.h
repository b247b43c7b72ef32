/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The program's variables and maps. */
#ifndef CRAU_MAPS_H
#define CRAU_MAPS_H

/* 1 if uprobe programs may sleep, so that the program can read pages that are not resident. Set before loading. */
const volatile __u8 can_sleep = 0;

/* Number of included scopes. Only their data and data without a scope are recorded; 0 means all data. */
volatile __u32 scope_count = 0;

/*
 * 1 if the kernel may give the programs stacks that all tasks on a CPU share, see audit(). Set before loading.
 */
const volatile __u8 shared_stacks = 0;

/* Number of hits of one process that are recorded in an interval of SECOND; 0 means unlimited. Set before loading. */
const volatile __u32 second_limit = 0;

/* 1 if only the processes in the map family are observed. Set before loading. */
const volatile __u8 family_only = 0;

/*
 * 1 if owners and processes have no shares of the ring. Set before loading by a benchmark that measures what shares
 * cost.
 */
const volatile __u8 no_shares = 0;

/* Which record wakes the reader: enum crau_wake. The reader sets it before it blocks. */
__u32 reader_waits = 0;

/* Incremented when the state that runs have cached about a process may be stale: after a loss, an exec or an exit. */
__u64 epoch = 0;

#define PAIR_ROOM (sizeof(struct crau_pair) + CRAU_MAX_KEY + 2 + CRAU_MAX_VALUE + 8)
#define RECORD_ROOM (sizeof(struct crau_record) + CRAU_MAX_PAIRS * PAIR_ROOM)

/*
 * The state of a run, which handles one hit. A run can be preempted or sleep in a page fault while other hits occur on
 * the same CPU, so each CPU has several. Each is used for one hit at a time, so only taken needs atomic operations.
 */
struct run {
	__u32 taken;	/* 1: in use */
	__u32 sleeps;	/* set when the run first sleeps in a page fault; cleared together with taken */
	__u64 epoch;	/* value of epoch when the fields below were cached */
	__u64 lost;	/* hits of the process that were lost when the fields were cached */
	__u64 owner;	/* owner of the process, see owner_of */
	__u64 sent;	/* number of hits whose record was sent: part of CRAU_STAT_SENT */
	__u32 tgid;	/* process of the last hit */
	__u32 hits;	/* hits of that process that are not yet counted in its budget */
	__u32 bytes;	/* bytes of records not yet counted in the shares of that process and its owner */
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
	__uint(max_entries, 2 * CRAU_MAX_SCOPES); /* during a change, the old and the new scopes */
	__type(key, struct crau_scope);
	__type(value, __u8);
} scopes SEC(".maps");

/* The buffer in which a run assembles its record, and the state of the assembly. */
struct slot {
	__u32 len;	/* bytes of the record so far */
	__u32 strings_len;	/* strings_len of the site's crau_spec */
	__u32 run;	/* index of the run that uses it */
	__u32 waits;	/* pages that the run has waited for */
	__u64 page;	/* address in the page for which the run has to wait; 0: none */
	__u64 waited;	/* address in the page for which the run waited last; 0: none */
	__u64 strings;	/* address of the file's strings in the process */
	__u64 arg[8];	/* arguments, or the addresses of arguments in memory */
	struct {
		__u8 size;	/* bytes of the argument to read at arg; 0: arg is the argument */
		__u8 is_signed;
	} memory[8];
	__u32 next;	/* index of the next element to append */
	__u32 length;	/* number of elements */
	__u8 known;	/* 1: length and elements are set */
	__u8 byte;	/* buffer for a byte of the page: reading it waits for the page */
	__u8 pad[6];
	struct crau_scope scope;	/* scope of the key that is checked */
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

/*
 * The processes of a command's family that are alive, by tgid. User space adds the first process, and process_fork its
 * descendants.
 */
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

/*
 * Increments a counter of the CPU. The operation is atomic, because other runs on the same CPU can interrupt this one.
 */
static __always_inline void count(enum crau_stat stat)
{
	__u32 zero = 0;
	struct cpu *cpu = bpf_map_lookup_elem(&cpus, &zero);

	if (cpu)
		__sync_fetch_and_add(&cpu->n[stat], 1);
}

/*
 * Reports whether an owner may use the run `index`, one of the first `runs` runs of a CPU. If sleeping is set, the
 * question is whether the owner may sleep in it. The owner may already have at most as many of these runs as are free,
 * where `index` counts as free. So a run remains for other owners, as with shares of the ring.
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

/* Returns the flags with which to submit a record. They determine whether the record wakes the reader. */
static __always_inline __u64 wakeup(void)
{
	if (*(volatile __u32 *)&reader_waits != CRAU_WAKE_NEXT)
		return BPF_RB_NO_WAKEUP;
	*(volatile __u32 *)&reader_waits = CRAU_WAKE_NEVER;
	return BPF_RB_FORCE_WAKEUP;
}

#endif
