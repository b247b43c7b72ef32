//go:build ignore

// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * One program for every probe of provider crypto_auditing. The attach cookie of a site is an index into `sites`, which
 * says what the site tells and where its arguments are. Whatever is hit becomes one record in `ring`, or one count.
 */
#include "kernel.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include "audit.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Set before loading: the kernel lets uprobe programs sleep, so pages that are not resident can be faulted in. */
const volatile __u8 can_sleep = 0;

/* Set before loading: keep only data of these scopes, and data without a scope; none means all. */
const volatile __u32 scope_count = 0;
const volatile struct crau_scope scopes[CRAU_MAX_SCOPES] = {};

/* Set before loading: the most hits of one process that are taken in SECOND; 0 means any number. */
const volatile __u32 second_limit = 0;

/* Set by the reader when it is about to block; the record that finds it set wakes the reader up. */
__u32 reader_waits = 0;

#define SLOTS 8
#define SECOND (1 << 30) /* ns, 1.07 s */
#define MOMENT (1 << 24) /* ns, 17 ms */
/*
 * A process with more than FAIR hits in a moment is limited while the ring is more than half full, so that the other
 * half is there for those with fewer. How full the ring is, is asked every CHECK hits.
 */
#define FAIR 256
#define CHECK 32
#define PAGE 4096UL
#define PAIR_ROOM (sizeof(struct crau_pair) + CRAU_MAX_KEY + 2 + CRAU_MAX_VALUE + 8)
#define RECORD_ROOM (sizeof(struct crau_record) + CRAU_MAX_PAIRS * PAIR_ROOM)

/*
 * Where a record is put together. A program may be preempted, or sleep in a page fault, and another run on the same
 * CPU: hence several slots, each taken by one run at a time.
 */
struct slot {
	__u32 taken;
	__u32 len;
	struct crau_element elements[CRAU_MAX_PAIRS];
	__u8 record[RECORD_ROOM];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SLOTS);
	__type(key, __u32);
	__type(value, struct slot);
} slots SEC(".maps");

struct counters {
	__u64 n[CRAU_STATS];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct counters);
} stats SEC(".maps");

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

/* Makes bpf2go write these types down although no map holds them. */
const struct crau_record *unused_record __attribute__((unused));
const struct crau_pair *unused_pair __attribute__((unused));
const struct crau_process *unused_process __attribute__((unused));
const enum crau_limit *unused_limit __attribute__((unused));
const enum crau_kind *unused_kind __attribute__((unused));
const enum crau_operand_kind *unused_operand_kind __attribute__((unused));
const enum crau_pair_type *unused_pair_type __attribute__((unused));
const enum crau_flag *unused_flag __attribute__((unused));
const enum crau_stat *unused_stat __attribute__((unused));

/* Atomic, since a run on the same CPU can come in between. */
static __always_inline void count(enum crau_stat what)
{
	__u32 zero = 0;
	struct counters *c = bpf_map_lookup_elem(&stats, &zero);

	if (c)
		__sync_fetch_and_add(&c->n[what], 1);
}

static __always_inline __u64 wakeup(void)
{
	if (!*(volatile __u32 *)&reader_waits)
		return BPF_RB_NO_WAKEUP;
	*(volatile __u32 *)&reader_waits = 0;
	return BPF_RB_FORCE_WAKEUP;
}

/*
 * Reads the n-th saved register. A load at a fixed offset is the only one the verifier takes from the context, and a
 * binary search over twenty cases costs less than a helper call.
 */
#define WORD(n)                                                                                   \
	case n:                                                                                   \
		asm volatile("%0 = *(u64 *)(%1 + %2)" : "=r"(v) : "r"(ctx), "i"((n) * 8));        \
		break;

static __always_inline __u64 saved_register(void *ctx, __u8 n)
{
	__u64 v = 0;

	switch (n) {
	WORD(0) WORD(1) WORD(2) WORD(3) WORD(4) WORD(5) WORD(6) WORD(7) WORD(8) WORD(9) WORD(10)
	WORD(11) WORD(12) WORD(13) WORD(14) WORD(15) WORD(16) WORD(17) WORD(18) WORD(19) WORD(20)
#if defined(__TARGET_ARCH_arm64)
	WORD(21) WORD(22) WORD(23) WORD(24) WORD(25) WORD(26) WORD(27) WORD(28) WORD(29) WORD(30)
	WORD(31) WORD(32) WORD(33)
#endif
	}
	return v;
}

static __always_inline long read_user(void *to, __u32 size, __u64 from)
{
	long err = bpf_probe_read_user(to, size, (void *)from);

	if (err && can_sleep)
		err = bpf_copy_from_user(to, size, (void *)from);
	return err;
}

/*
 * Reads a string into size bytes, size at most a page; returns its length with the NUL, or an error. The plain read
 * gives up at a page that is not resident; touching the string's one or two pages from a program that may sleep
 * brings them in, on every kernel with sleepable uprobes.
 */
static __always_inline long read_string(void *to, __u32 size, __u64 from)
{
	long n = bpf_probe_read_user_str(to, size, (void *)from);
	__u8 touched;

	if (n < 0 && can_sleep) {
		bpf_copy_from_user(&touched, 1, (void *)from);
		if ((from & (PAGE - 1)) + size > PAGE)
			bpf_copy_from_user(&touched, 1, (void *)((from | (PAGE - 1)) + 1));
		n = bpf_probe_read_user_str(to, size, (void *)from);
	}
	return n == 0 ? 1 : n; /* older kernels do not count the NUL of an empty string */
}

static __always_inline long read_argument(void *ctx, const struct crau_operand *op, __u64 *to)
{
	__u64 v = op->value, raw = 0;
	__u8 unused_bits;

	if (op->kind != CRAU_CONST)
		v += saved_register(ctx, op->base) >> (op->shift & 63);
	if (op->kind == CRAU_MEMORY) {
		__u32 size = op->size;

		if (op->index != 0xff)
			v += saved_register(ctx, op->index) << (op->scale & 63);
		barrier_var(size); /* keeps the compiler from checking one copy and using another */
		if (size > sizeof(raw) || read_user(&raw, size, v))
			return -1;
		v = raw;
	}
	unused_bits = (64 - op->size * 8) & 63;
	v <<= unused_bits;
	*to = op->is_signed ? (__u64)((__s64)v >> unused_bits) : v >> unused_bits;
	return 0;
}

/* Whether the key at that place of the slot's record, which ends in a NUL, is to be kept. A global function for the
 * verifier's sake. */
__attribute__((noinline)) int kept(struct slot *s, __u32 at)
{
	__u32 i, j;

	if (!s || at > RECORD_ROOM - CRAU_MAX_KEY - 2)
		return 1;
	for (i = 0; i < CRAU_MAX_SCOPES && i < scope_count; i++) {
		for (j = 0; j < CRAU_MAX_SCOPE - 1 && j < scopes[i].len; j++) {
			if (s->record[at + j] != scopes[i].text[j])
				break;
		}
		if (j == scopes[i].len)
			return 1;
	}
	for (i = 0; i < CRAU_MAX_KEY; i++) {
		__u8 c = s->record[at + i];

		if (!c)
			break;
		if (c == ':' && s->record[at + i + 1] == ':')
			return 0;
	}
	return 1;
}

/*
 * Appends the i-th element to the slot's record as a pair, or counts that its key could not be read. A global function,
 * which the verifier checks once and not in every state that sixteen elements can leave behind.
 */
__attribute__((noinline)) int add_pair(struct slot *s, __u32 i)
{
	const struct crau_element *e;
	struct crau_record *head;
	__u32 at;
	struct crau_pair *pair;
	__u8 *data;
	__u32 key_len, value_len = 0;
	__u64 word = 0;
	__u8 type, pair_flags = 0;
	long n;

	if (!s || i >= CRAU_MAX_PAIRS)
		return 0;
	e = &s->elements[i];
	head = (struct crau_record *)s->record;
	at = s->len;
	if (at > RECORD_ROOM - PAIR_ROOM)
		return 0;
	if (e->size == CRAU_SIZE_STRING && !e->value)
		return 0; /* GnuTLS's way to say that there is no value */
	pair = (struct crau_pair *)(s->record + at);
	data = (__u8 *)(pair + 1);

	n = read_string(data, CRAU_MAX_KEY + 2, e->key);
	if (n <= 0 || n > CRAU_MAX_KEY + 2) {
		head->flags |= CRAU_LOST;
		count(CRAU_STAT_PAIR_FAULT);
		return 0;
	}
	if (scope_count && !kept(s, at + sizeof(*pair)))
		return 0;
	key_len = n - 1;
	if (key_len > CRAU_MAX_KEY) {
		key_len = CRAU_MAX_KEY;
		pair_flags |= CRAU_KEY_CUT;
	}

	if (e->size == CRAU_SIZE_WORD) {
		type = CRAU_WORD;
		word = e->value;
	} else if (e->size == CRAU_SIZE_STRING) {
		type = CRAU_STRING;
		n = read_string(data + key_len, CRAU_MAX_VALUE + 2, e->value);
		if (n <= 0 || n > CRAU_MAX_VALUE + 2) {
			pair_flags |= CRAU_FAULT;
		} else {
			value_len = n - 1;
			if (value_len > CRAU_MAX_VALUE) {
				value_len = CRAU_MAX_VALUE;
				pair_flags |= CRAU_CUT;
			}
		}
	} else {
		type = CRAU_BLOB;
		word = e->size;
		value_len = CRAU_MAX_VALUE;
		if (word <= CRAU_MAX_VALUE)
			value_len = word;
		else
			pair_flags |= CRAU_CUT;
		if (value_len && read_user(data + key_len, value_len, e->value)) {
			pair_flags |= CRAU_FAULT;
			value_len = 0;
		}
	}

	pair->word = word;
	pair->value_len = value_len;
	pair->key_len = key_len;
	pair->type = type;
	pair->flags = pair_flags;
	head->flags |= pair_flags;
	head->pairs++;
	s->len = (at + sizeof(*pair) + key_len + value_len + 7) & ~7U;
	return 0;
}

/* Sends who the process is. On success it is known from now on: of two threads that fire first at once, neither may get
 * its event in before a process record. */
static __always_inline void announce(__u32 tgid, __u32 tid, __u64 now)
{
	struct crau_budget fresh = {.second = now, .moment = now};
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	struct crau_process *p = bpf_ringbuf_reserve(&ring, sizeof(*p), 0);
	struct file *exe;
	__u64 ids;

	if (!p) {
		count(CRAU_STAT_PROCESS_LOST);
		return;
	}
	__builtin_memset(p, 0, sizeof(*p));
	p->head.time = now;
	p->head.tgid = tgid;
	p->head.tid = tid;
	p->head.kind = CRAU_PROCESS;
	p->start_time = BPF_CORE_READ(task, group_leader, start_boottime);
	p->cgroup = bpf_get_current_cgroup_id();
	ids = bpf_get_current_uid_gid();
	p->uid = (__u32)ids;
	p->gid = ids >> 32;
	p->ppid = BPF_CORE_READ(task, real_parent, tgid);
	bpf_get_current_comm(p->comm, sizeof(p->comm));
	exe = BPF_CORE_READ(task, mm, exe_file);
	if (exe) {
		p->exe_inode = BPF_CORE_READ(exe, f_inode, i_ino);
		p->exe_dev = BPF_CORE_READ(exe, f_inode, i_sb, s_dev);
		bpf_probe_read_kernel_str(p->exe, sizeof(p->exe), BPF_CORE_READ(exe, f_path.dentry, d_name.name));
	}
	bpf_ringbuf_submit(p, wakeup());
	bpf_map_update_elem(&processes, &tgid, &fresh, BPF_ANY);
}

static __always_inline struct slot *take_slot(void)
{
	for (__u32 i = 0; i < SLOTS; i++) {
		__u32 key = i;
		struct slot *s = bpf_map_lookup_elem(&slots, &key);

		if (s && !__sync_lock_test_and_set(&s->taken, 1))
			return s;
	}
	return 0;
}

static __always_inline int creates_context(__u8 kind)
{
	return kind == CRAU_NEW_CONTEXT || kind == CRAU_NEW_CONTEXT_WITH_DATA;
}

/* Whether the process has used up what it may. */
static __always_inline int over_budget(struct crau_budget *b, __u64 now)
{
	if (now - b->moment >= MOMENT) {
		b->moment = now;
		b->moment_hits = 0;
		b->limited = 0;
	}
	if (now - b->second >= SECOND) {
		b->second = now;
		b->second_hits = 0;
	}
	b->second_hits++;
	b->moment_hits++;
	if (second_limit && b->second_hits > second_limit)
		return 1;
	if (b->moment_hits > FAIR && b->moment_hits % CHECK == 0 &&
	    bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA) > bpf_ringbuf_query(&ring, BPF_RB_RING_SIZE) / 2)
		b->limited = 1;
	return b->limited;
}

/* Puts the hit's record together in the slot. Returns how it ended, CRAU_STAT_SENT if it can be sent. */
static __always_inline enum crau_stat fill(void *ctx, const struct crau_spec *spec, struct slot *s, struct crau_record *head)
{
	__u64 arg[CRAU_MAX_ARGS] = {};
	__u64 array = 0, length = 0;

	for (int i = 0; i < CRAU_MAX_ARGS; i++) {
		if (i < spec->nargs && read_argument(ctx, &spec->args[i], &arg[i]))
			return CRAU_STAT_FAULT;
	}
	head->context = arg[0];
	head->parent = 0;
	head->file = spec->file;
	head->kind = spec->kind;
	head->flags = 0;
	head->pairs = 0;
	s->len = sizeof(*head);

	switch (spec->kind) {
	case CRAU_NEW_CONTEXT:
		head->parent = arg[1];
		break;
	case CRAU_WORD_DATA:
	case CRAU_STRING_DATA:
	case CRAU_BLOB_DATA:
		length = 1;
		s->elements[0].key = arg[1];
		s->elements[0].value = arg[2];
		s->elements[0].size = spec->kind == CRAU_WORD_DATA   ? CRAU_SIZE_WORD :
				      spec->kind == CRAU_STRING_DATA ? CRAU_SIZE_STRING :
								       arg[3];
		break;
	case CRAU_DATA:
		array = arg[1];
		length = arg[2];
		break;
	case CRAU_NEW_CONTEXT_WITH_DATA:
		head->parent = arg[1];
		array = arg[2];
		length = arg[3];
		break;
	case CRAU_SESSION_ENTER:
	case CRAU_SESSION_LEAVE:
		break;
	default:
		return CRAU_STAT_MALFORMED;
	}

	if (length > CRAU_MAX_PAIRS) {
		length = CRAU_MAX_PAIRS;
		head->flags |= CRAU_CUT | CRAU_LOST;
	}
	if (length && (spec->kind == CRAU_DATA || spec->kind == CRAU_NEW_CONTEXT_WITH_DATA) &&
	    read_user(s->elements, length * sizeof(s->elements[0]), array)) {
		if (spec->kind == CRAU_DATA)
			return CRAU_STAT_FAULT;
		length = 0;
		head->flags |= CRAU_LOST;
	}
	for (__u32 i = 0; i < CRAU_MAX_PAIRS; i++) {
		if (i >= length)
			break;
		add_pair(s, i);
	}
	if (!head->pairs && length && !creates_context(spec->kind)) {
		if (head->flags & CRAU_LOST)
			return CRAU_STAT_FAULT;
		if (scope_count)
			return CRAU_STAT_HIDDEN;
	}
	return CRAU_STAT_SENT;
}

/* Records one hit. Returns what became of it. */
static __always_inline enum crau_stat record(void *ctx, const struct crau_spec *spec, struct slot *s,
					     struct crau_budget *process, __u64 id, __u64 now)
{
	struct crau_record *head = (struct crau_record *)s->record;
	enum crau_stat how = fill(ctx, spec, s, head);
	__u32 len = s->len;

	if (how != CRAU_STAT_SENT)
		return how;
	head->time = now;
	head->tgid = id >> 32;
	head->tid = id;
	head->lost = process ? process->lost : 0;
	if (len > RECORD_ROOM)
		len = RECORD_ROOM;
	if (bpf_ringbuf_output(&ring, s->record, len, wakeup()))
		return CRAU_STAT_RING_FULL;
	if (head->flags & (CRAU_CUT | CRAU_KEY_CUT))
		count(CRAU_STAT_TRUNCATED);
	return CRAU_STAT_SENT;
}

SEC("uprobe.multi.s")
int audit(void *ctx)
{
	__u32 key = bpf_get_attach_cookie(ctx);
	const struct crau_spec *spec = bpf_map_lookup_elem(&sites, &key);
	__u64 id = bpf_get_current_pid_tgid();
	__u64 now = bpf_ktime_get_boot_ns();
	__u32 tgid = id >> 32;
	struct crau_budget *process;
	enum crau_stat how;
	struct slot *s;

	count(CRAU_STAT_HITS);
	process = bpf_map_lookup_elem(&processes, &tgid);
	if (!process) {
		announce(tgid, id, now);
		process = bpf_map_lookup_elem(&processes, &tgid);
	}
	if (!spec || !spec->kind) {
		how = CRAU_STAT_MALFORMED;
	} else if (process && over_budget(process, now)) {
		how = CRAU_STAT_RATE_LIMITED;
	} else if (!(s = take_slot())) {
		how = CRAU_STAT_BUSY;
	} else {
		how = record(ctx, spec, s, process, id, now);
		__sync_lock_test_and_set(&s->taken, 0);
	}
	count(how);
	if (process && how != CRAU_STAT_SENT && how != CRAU_STAT_HIDDEN)
		__sync_fetch_and_add(&process->lost, 1);
	return 0;
}

/* A new executable in a known process: its next event announces it anew. */
SEC("raw_tp/sched_process_exec")
int process_exec(void *ctx __attribute__((unused)))
{
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;

	bpf_map_delete_elem(&processes, &tgid);
	return 0;
}

SEC("raw_tp/sched_process_exit")
int process_exit(void *ctx __attribute__((unused)))
{
	__u64 id = bpf_get_current_pid_tgid();
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	__u32 tgid = id >> 32;
	struct crau_budget *process = bpf_map_lookup_elem(&processes, &tgid);
	struct crau_record *head;
	__u64 lost;

	if (!process)
		return 0;
	/* The exiting thread is no longer counted as live when this tracepoint is reached. */
	if (BPF_CORE_READ(task, signal, live.counter) > 0)
		return 0;
	lost = process->lost;
	bpf_map_delete_elem(&processes, &tgid);
	head = bpf_ringbuf_reserve(&ring, sizeof(*head), 0);
	if (!head) {
		count(CRAU_STAT_PROCESS_LOST);
		return 0;
	}
	__builtin_memset(head, 0, sizeof(*head));
	head->time = bpf_ktime_get_boot_ns();
	head->tgid = tgid;
	head->tid = id;
	head->kind = CRAU_EXIT;
	head->lost = lost;
	bpf_ringbuf_submit(head, wakeup());
	return 0;
}
