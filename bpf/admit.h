/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Which hits are recorded: the limits of processes and of their owners, and what they have lost. */
#ifndef CRAU_ADMIT_H
#define CRAU_ADMIT_H

/*
 * An owner has the same budget as a process. If it exceeds the budget, those of its processes are limited that are
 * younger than SECOND or had more than QUIET hits in the moment. Thus an owner whose processes come and go is limited
 * like a single process, while its quiet processes are not. If the owner had more than BURST hits in the moment, all
 * are limited.
 */
#define QUIET (FAIR / 4)
#define BURST (FAIR * 64)

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64);	/* owner_of */
	__type(value, struct crau_budget);
} owners SEC(".maps");

/*
 * How many hits of a process a run may record before it adds them to the process's budget: a small part of the limit.
 */
static __always_inline __u32 max_uncounted_hits(void)
{
	__u32 limit = second_limit ? second_limit >> 16 : CHECK - 1;

	return limit < CHECK - 1 ? limit : CHECK - 1;
}

static __always_inline struct crau_budget *budget_of_owner(__u64 owner, __u64 now)
{
	struct crau_budget fresh = {.second = now, .moment = now, .since = now, .owner = owner};
	struct crau_budget *o = bpf_map_lookup_elem(&owners, &owner);

	if (o)
		return o;
	bpf_map_update_elem(&owners, &owner, &fresh, BPF_NOEXIST);
	return bpf_map_lookup_elem(&owners, &owner);
}

/*
 * Whether an unknown process of the current task's owner is limited. If so, not even its process record is written.
 */
static __always_inline int newcomer_limited(__u64 now)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	__u64 owner = owner_of(BPF_CORE_READ(task, cred, uid.val), BPF_CORE_READ(task, cgroups, dfl_cgrp, kn, id));
	struct crau_budget *o = bpf_map_lookup_elem(&owners, &owner);

	return o && ((o->limited && now - o->moment < MOMENT) ||
		     (second_limit && o->second_hits > second_limit && now - o->second < SECOND));
}

/* Whether the process with the budget b is limited if its owner has exceeded the budget o. */
static __always_inline int limited_by_owner(const struct crau_budget *b, const struct crau_budget *o, __u64 now)
{
	return o->moment_hits > BURST || b->moment_hits > QUIET || now - b->since < SECOND;
}

/*
 * Reports whether to record one more hit of the process, and counts it. Looking up the budgets costs as much as
 * writing the record to the ring, so a run only does it every few hits. If the budget of the process was looked up,
 * it is returned in *budget.
 */
static __always_inline int admit(struct run *r, __u32 tgid, __u32 tid, __u64 now, struct crau_budget **budget)
{
	__u64 current = *(volatile __u64 *)&epoch; /* read before the fields that it validates */
	__u64 owner = r->owner;
	__u32 last = r->tgid, hits = r->hits;
	struct crau_budget *b, *o;
	int over;

	if (last == tgid && r->epoch == current && hits < max_uncounted_hits()) {
		r->hits = hits + 1;
		return 1;
	}
	if (last != tgid) {
		if (hits && (b = bpf_map_lookup_elem(&processes, &last))) {
			b->second_hits += hits;
			b->moment_hits += hits;
		}
		if (hits && (o = bpf_map_lookup_elem(&owners, &owner))) {
			o->second_hits += hits;
			o->moment_hits += hits;
		}
		hits = 0;
	}
	check_ring_fill();
	r->tgid = 0;
	r->hits = 0;
	r->lost = 0;
	b = bpf_map_lookup_elem(&processes, &tgid);
	if (!b) {
		if (newcomer_limited(now))
			return 0;
		announce(tgid, tid, now);
		b = bpf_map_lookup_elem(&processes, &tgid);
	}
	*budget = b;
	if (!b)
		return 1;
	owner = b->owner;
	r->tgid = tgid;
	r->owner = owner;
	r->epoch = current;
	r->lost = b->lost;
	over = over_budget(b, hits + 1, now);
	o = budget_of_owner(owner, now);
	if (o && over_budget(o, hits + 1, now) && limited_by_owner(b, o, now))
		over = 1;
	return !over;
}

/* Counts a lost hit of the process. The next record of the process contains the count. */
static __always_inline void count_lost(struct crau_budget *b, __u32 tgid)
{
	if (!b)
		b = bpf_map_lookup_elem(&processes, &tgid);
	if (!b)
		return;
	__sync_fetch_and_add(&b->lost, 1);
	__sync_fetch_and_add(&epoch, 1);
}

#endif
