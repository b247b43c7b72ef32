//go:build ignore

// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * The program that runs at the probe sites of provider crypto_auditing. The lower half of a site's attach cookie is its
 * index in the map `sites`, which describes the site's kind and arguments; the upper half is the number of its file.
 * Every hit becomes a record in `ring`, or is counted by the reason why it was not recorded.
 */
#include "kernel.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include "audit.h"
#include "maps.h"
#include "operand.h"
#include "pair.h"
#include "record.h"
#include "short.h"
#include "process.h"
#include "admit.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* References to types that no map contains, so that bpf2go generates Go types for them. */
const struct crau_record *const unused_record __attribute__((unused));
const struct crau_pair *const unused_pair __attribute__((unused));
const struct crau_short *const unused_short __attribute__((unused));
const struct crau_process *const unused_process __attribute__((unused));
const enum crau_limit *const unused_limit __attribute__((unused));
const enum crau_kind *const unused_kind __attribute__((unused));
const enum crau_operand_kind *const unused_operand_kind __attribute__((unused));
const enum crau_pair_type *const unused_pair_type __attribute__((unused));
const enum crau_flag *const unused_flag __attribute__((unused));
const enum crau_wake *const unused_wake __attribute__((unused));
const enum crau_stat *const unused_stat __attribute__((unused));

/* Releases a run. Only programs on this CPU access the run, so a compiler barrier suffices. */
static __always_inline void release_run(struct run *r)
{
	barrier();
	*(volatile __u64 *)&r->taken = 0; /* also clears sleeps */
}

/* Reports whether the current task's owner may use the run, which is already taken, in addition to its other runs. */
static __noinline int may_keep(__u32 index, __u32 tgid)
{
	struct crau_budget *b = bpf_map_lookup_elem(&processes, &tgid);
	__u32 zero = 0;
	struct cpu *cpu = bpf_map_lookup_elem(&cpus, &zero);
	__u64 owner = b ? b->owner : current_owner();

	if (!cpu || index >= CRAU_RUNS)
		return 0;
	return has_share(cpu, CRAU_RUNS, 0, index, owner);
}

/*
 * Takes a free run of the CPU and returns its index. Returns CRAU_RUNS if all runs are in use, or if the owner has used
 * up its share of them. While a run of the first half is free, shares are not checked.
 */
static __always_inline __u32 take_run(struct cpu *cpu, __u32 tgid)
{
	__u32 index;

	for (index = 0; index < CRAU_RUNS; index++) {
		if (!__sync_lock_test_and_set(&cpu->runs[index].taken, 1))
			break;
	}
	barrier_var(index); /* keeps the compiler from comparing pointers, which Linux 6.1's verifier cannot follow */
	if (index >= CRAU_RUNS / 2 && index < CRAU_RUNS && !may_keep(index, tgid)) {
		release_run(&cpu->runs[index]);
		return CRAU_RUNS;
	}
	return index;
}

/* Counts a hit of the current process that was not recorded. */
static __noinline int count_unrecorded(__u32 stat)
{
	count(stat);
	if (stat != CRAU_STAT_HIDDEN)
		count_lost(bpf_get_current_pid_tgid() >> 32, stat);
	return 0;
}

/* Ends a run and counts the outcome of its hit. len is the size of the record. */
static __always_inline void end_run(struct run *r, enum crau_stat outcome, __u32 len)
{
	if (outcome == CRAU_STAT_SENT) {
		r->sent++;
		if (!no_shares)
			r->bytes += len + RING_HEADER;
	}
	release_run(r);
	if (outcome != CRAU_STAT_SENT)
		count_unrecorded(outcome);
}

/*
 * Starts to handle a hit, without reading memory of the process. Returns the index of the run with which proceed must
 * continue, or CRAU_RUNS if the hit has been handled completely.
 */
static __noinline int begin(void *ctx)
{
	__u64 cookie = bpf_get_attach_cookie(ctx);
	__u32 zero = 0, index, site = cookie, file = cookie >> 32;
	const struct crau_spec *spec = bpf_map_lookup_elem(&sites, &site);
	__u64 id = bpf_get_current_pid_tgid();
	__u64 now = bpf_ktime_get_boot_ns();
	struct cpu *cpu = bpf_map_lookup_elem(&cpus, &zero);
	enum crau_stat outcome = CRAU_STAT_MALFORMED;
	struct slot *s;
	struct run *r;

	if (!cpu || !observed(id >> 32))
		return CRAU_RUNS;
	index = take_run(cpu, id >> 32);
	if (index >= CRAU_RUNS) {
		count_unrecorded(CRAU_STAT_BUSY);
		return CRAU_RUNS;
	}
	r = &cpu->runs[index];
	/*
	 * A site's index can be reused for another file while the kernel still detaches the site. Then the file numbers
	 * differ.
	 */
	if (spec && spec->kind && spec->file == file) {
		outcome = admit(r, id, now);
		if (outcome == CRAU_STAT_SENT) {
			outcome = CRAU_STATS;
			if (spec->is_short && !scope_count)
				outcome = record_short(ctx, spec, r->lost, id, now);
			if (outcome == CRAU_STATS) {
				s = bpf_map_lookup_elem(&slots, &index);
				if (s) {
					prepare(ctx, spec, s, index, r->lost, now);
					return index;
				}
				outcome = CRAU_STAT_MALFORMED;
			}
		}
	}
	end_run(r, outcome, sizeof(struct crau_short));
	return CRAU_RUNS;
}

/*
 * Continues a run. Returns whether the run has to wait for a page. This is a global function so that the verifier
 * checks it only once, and not for each iteration of the loop in audit.
 */
__attribute__((noinline)) int proceed(__u32 index)
{
	__u32 zero = 0, run = index;
	struct cpu *cpu = bpf_map_lookup_elem(&cpus, &zero);
	struct slot *s = bpf_map_lookup_elem(&slots, &run);
	enum crau_stat outcome;

	if (!cpu || !s || index >= CRAU_RUNS)
		return 0;
	s->waited = s->page;
	s->page = 0;
	outcome = record(s);
	if (s->page)
		return 1;
	end_run(&cpu->runs[index], outcome, s->len);
	return 0;
}

extern void bpf_preempt_disable(void) __ksym __weak;
extern void bpf_preempt_enable(void) __ksym __weak;

/* With shared_stacks, disables preemption until leave, so that no other program runs on this CPU. */
static __always_inline void enter(void)
{
	if (shared_stacks && bpf_preempt_disable)
		bpf_preempt_disable();
}

static __always_inline void leave(void)
{
	if (shared_stacks && bpf_preempt_enable)
		bpf_preempt_enable();
}

/* Waits for the page that a run needs. */
static __noinline int wait(__u32 run)
{
	__u32 index = run;
	struct slot *s = bpf_map_lookup_elem(&slots, &index);

	if (can_sleep && s)
		bpf_copy_from_user(&s->byte, 1, (void *)s->page);
	return 0;
}

/*
 * Since Linux 6.13, the JIT compiler gives each function of a uprobe program that needs 64 bytes of stack or more a
 * stack that belongs to the CPU. It assumes that a program ends before the next one runs on that CPU. That is wrong for
 * a program that waits for a page or is preempted: it would use addresses that another program has overwritten on that
 * stack. Therefore a program never waits inside such a function: while it waits, only this function and wait() are
 * active, and they need less stack. While the other functions are active, preemption is disabled.
 */
SEC("uprobe.multi.s")
int audit(void *ctx)
{
	int index, more;

	enter();
	index = begin(ctx);
	more = index < CRAU_RUNS && proceed(index);
	leave();
	for (int i = 0; i <= MOST_WAITS && more; i++) {
		wait(index);
		enter();
		more = proceed(index);
		leave();
	}
	return 0;
}

/* Forgets a process that executes a program, so that a new process record precedes its next record. */
SEC("raw_tp/sched_process_exec")
int process_exec(void *ctx __attribute__((unused)))
{
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;

	bpf_map_delete_elem(&processes, &tgid);
	__sync_fetch_and_add(&epoch, 1);
	return 0;
}

/* Adds the child of an observed process to the family before the child runs. Attached only with family_only. */
SEC("raw_tp/sched_process_fork")
int process_fork(struct bpf_raw_tracepoint_args *ctx)
{
	struct task_struct *child = (struct task_struct *)ctx->args[1];
	__u32 parent = bpf_get_current_pid_tgid() >> 32, tgid = BPF_CORE_READ(child, tgid);
	__u8 one = 1;

	if (tgid != parent && bpf_map_lookup_elem(&family, &parent) &&
	    bpf_map_update_elem(&family, &tgid, &one, BPF_ANY))
		count(CRAU_STAT_FAMILY_FULL);
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
	__u32 announced;
	__u64 lost;

	/* The process id can be reused. A run may have cached it even if the map does not contain the process. */
	__sync_fetch_and_add(&epoch, 1);
	if (!process && !family_only)
		return 0;
	/* The exiting thread is not included in this count of live threads. */
	if (BPF_CORE_READ(task, signal, live.counter) > 0)
		return 0;
	if (family_only)
		bpf_map_delete_elem(&family, &tgid);
	if (!process)
		return 0;
	lost = process->lost;
	announced = process->announced;
	bpf_map_delete_elem(&processes, &tgid);
	if (!announced)
		return 0;
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
