/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Identity, limits and losses of the processes that hit probes. */
#ifndef CRAU_PROCESS_H
#define CRAU_PROCESS_H

#define SECOND (1 << 30) /* ns, 1.07 s */
#define MOMENT (1 << 24) /* ns, 17 ms */
/*
 * While the ring is more than half full, a process with more than FAIR hits in a moment is limited, which leaves the
 * other half of the ring to processes with fewer hits. The fill level is checked every CHECK hits.
 */
#define FAIR 256
#define CHECK 32

/*
 * Writes a process record, and adds the process to the map afterwards: if two threads hit their first probe at the
 * same time, a process record precedes the events of both.
 */
static __always_inline void announce(__u32 tgid, __u32 tid, __u64 now)
{
	struct crau_budget fresh = {.second = now, .moment = now};
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	struct crau_process *p = bpf_ringbuf_reserve(&ring, sizeof(*p), 0);
	struct file *exe;

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
	/* Read from the task, since programs at sockets have no helpers for these. */
	p->cgroup = BPF_CORE_READ(task, cgroups, dfl_cgrp, kn, id);
	p->uid = BPF_CORE_READ(task, cred, uid.val);
	p->gid = BPF_CORE_READ(task, cred, gid.val);
	p->ppid = BPF_CORE_READ(task, real_parent, tgid);
	BPF_CORE_READ_INTO(&p->comm, task, comm);
	exe = BPF_CORE_READ(task, mm, exe_file);
	if (exe) {
		p->exe_inode = BPF_CORE_READ(exe, f_inode, i_ino);
		p->exe_dev = BPF_CORE_READ(exe, f_inode, i_sb, s_dev);
		bpf_probe_read_kernel_str(p->exe, sizeof(p->exe), BPF_CORE_READ(exe, f_path.dentry, d_name.name));
	}
	bpf_ringbuf_submit(p, wakeup());
	bpf_map_update_elem(&processes, &tgid, &fresh, BPF_ANY);
}

/* Adds hits to the budget of a process and reports whether the process has exceeded it. */
static __always_inline int over_budget(struct crau_budget *b, __u32 hits, __u64 now)
{
	__u32 before;

	if (now - b->moment >= MOMENT) {
		b->moment = now;
		b->moment_hits = 0;
		b->limited = 0;
	}
	if (now - b->second >= SECOND) {
		b->second = now;
		b->second_hits = 0;
	}
	before = b->moment_hits;
	b->second_hits += hits;
	b->moment_hits = before + hits;
	if (second_limit && b->second_hits > second_limit)
		return 1;
	if (b->moment_hits > FAIR && before / CHECK != b->moment_hits / CHECK &&
	    bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA) > bpf_ringbuf_query(&ring, BPF_RB_RING_SIZE) / 2)
		b->limited = 1;
	return b->limited;
}

/*
 * How many hits of a process a run may record before it adds them to the process's budget: a small part of the limit.
 */
static __always_inline __u32 max_uncounted_hits(void)
{
	__u32 limit = second_limit ? second_limit >> 16 : CHECK - 1;

	return limit < CHECK - 1 ? limit : CHECK - 1;
}

/*
 * Reports whether to record one more hit of the process, and counts it. Looking up the budget costs as much as
 * writing the record to the ring, so a run only does it every few hits. If the budget was looked up, it is returned
 * in *budget.
 */
static __always_inline int admit(struct run *r, __u32 tgid, __u32 tid, __u64 now, struct crau_budget **budget)
{
	__u64 current = *(volatile __u64 *)&epoch; /* read before the fields that it validates */
	__u32 last = r->tgid, hits = r->hits;
	struct crau_budget *b;

	if (last == tgid && r->epoch == current && hits < max_uncounted_hits()) {
		r->hits = hits + 1;
		return 1;
	}
	if (last != tgid) {
		if (hits && (b = bpf_map_lookup_elem(&processes, &last))) {
			b->second_hits += hits;
			b->moment_hits += hits;
		}
		hits = 0;
	}
	check_ring_fill();
	r->tgid = 0;
	r->hits = 0;
	r->lost = 0;
	b = bpf_map_lookup_elem(&processes, &tgid);
	if (!b) {
		announce(tgid, tid, now);
		b = bpf_map_lookup_elem(&processes, &tgid);
	}
	*budget = b;
	if (!b)
		return 1;
	r->tgid = tgid;
	r->epoch = current;
	r->lost = b->lost;
	return !over_budget(b, hits + 1, now);
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
