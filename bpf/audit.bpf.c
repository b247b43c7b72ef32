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
#include "maps.h"
#include "operand.h"
#include "pair.h"
#include "process.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Makes bpf2go write these types down although no map holds them. */
const struct crau_record *unused_record __attribute__((unused));
const struct crau_pair *unused_pair __attribute__((unused));
const struct crau_process *unused_process __attribute__((unused));
const enum crau_limit *unused_limit __attribute__((unused));
const enum crau_kind *unused_kind __attribute__((unused));
const enum crau_operand_kind *unused_operand_kind __attribute__((unused));
const enum crau_pair_type *unused_pair_type __attribute__((unused));
const enum crau_flag *unused_flag __attribute__((unused));
const enum crau_wake *unused_wake __attribute__((unused));
const enum crau_stat *unused_stat __attribute__((unused));

static __always_inline int creates_context(__u8 kind)
{
	return kind == CRAU_NEW_CONTEXT || kind == CRAU_NEW_CONTEXT_WITH_DATA;
}

/* Puts the hit's record together in the slot. Returns how it ended, CRAU_STAT_SENT if it can be sent. */
static __always_inline enum crau_stat fill(void *ctx, const struct crau_spec *spec, struct slot *s, struct crau_record *head)
{
	__u64 arg[CRAU_MAX_ARGS] = {};
	__u64 array = 0, length = 0;
	int one = 0;

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
	s->room = spec->room;
	s->strings = spec->strings + (saved_register(ctx, IP) - spec->address);

	switch (spec->kind) {
	case CRAU_NEW_CONTEXT:
		head->parent = arg[1];
		break;
	case CRAU_WORD_DATA:
	case CRAU_STRING_DATA:
	case CRAU_BLOB_DATA:
		one = length = 1;
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
	if (length && !one &&
	    read_user(s->elements, length * sizeof(s->elements[0]), array)) {
		if (spec->kind == CRAU_DATA)
			return CRAU_STAT_FAULT;
		length = 0;
		head->flags |= CRAU_LOST;
	}
	if (one) {
		put_pair(s, 0);
	} else {
		for (__u32 i = 0; i < CRAU_MAX_PAIRS; i++) {
			if (i >= length)
				break;
			add_pair(s, i);
		}
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
static __always_inline enum crau_stat record(void *ctx, const struct crau_spec *spec, struct slot *s, __u64 lost,
					     __u64 id, __u64 now)
{
	struct crau_record *head = (struct crau_record *)s->record;
	enum crau_stat how = fill(ctx, spec, s, head);
	__u32 len = s->len;

	if (how != CRAU_STAT_SENT)
		return how;
	head->time = now;
	head->tgid = id >> 32;
	head->tid = id;
	head->lost = lost;
	if (len > RECORD_ROOM)
		len = RECORD_ROOM;
	if (bpf_ringbuf_output(&ring, s->record, len, wakeup()))
		return CRAU_STAT_RING_FULL;
	if (head->flags & (CRAU_CUT | CRAU_KEY_CUT))
		count(CRAU_STAT_TRUNCATED);
	return CRAU_STAT_SENT;
}

/* Takes a run of the CPU; CRAU_RUNS if all are taken. */
static __always_inline __u32 take_run(struct cpu *cpu)
{
	__u32 at;

	for (at = 0; at < CRAU_RUNS; at++) {
		if (!__sync_lock_test_and_set(&cpu->runs[at].taken, 1))
			break;
	}
	barrier_var(at); /* keeps the compiler from checking a pointer instead, which the verifier of 6.1 loses track of */
	return at;
}

SEC("uprobe.multi.s")
int audit(void *ctx)
{
	__u32 zero = 0, at, site = bpf_get_attach_cookie(ctx);
	const struct crau_spec *spec = bpf_map_lookup_elem(&sites, &site);
	__u64 id = bpf_get_current_pid_tgid();
	__u64 now = bpf_ktime_get_boot_ns();
	struct cpu *cpu = bpf_map_lookup_elem(&cpus, &zero);
	struct crau_budget *process = 0;
	enum crau_stat how;
	struct slot *s;
	struct run *r;

	if (!cpu)
		return 0;
	at = take_run(cpu);
	if (at >= CRAU_RUNS) {
		count(CRAU_STAT_BUSY);
		lose(0, id >> 32);
		return 0;
	}
	r = &cpu->runs[at];
	s = bpf_map_lookup_elem(&slots, &at);
	if (!spec || !spec->kind || !s)
		how = CRAU_STAT_MALFORMED;
	else if (!admit(r, id >> 32, id, now, &process))
		how = CRAU_STAT_RATE_LIMITED;
	else
		how = record(ctx, spec, s, r->lost, id, now);
	if (how == CRAU_STAT_SENT)
		r->sent++;
	barrier();
	*(volatile __u32 *)&r->taken = 0; /* for programs on this CPU: no other ordering is needed */
	if (how == CRAU_STAT_SENT)
		return 0;
	count(how);
	if (how != CRAU_STAT_HIDDEN)
		lose(process, id >> 32);
	return 0;
}

/* A new executable in a known process: its next event announces it anew. */
SEC("raw_tp/sched_process_exec")
int process_exec(void *ctx __attribute__((unused)))
{
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;

	bpf_map_delete_elem(&processes, &tgid);
	__sync_fetch_and_add(&epoch, 1);
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

	__sync_fetch_and_add(&epoch, 1); /* the number can be given to another process, also when it is not known here */
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
