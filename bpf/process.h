/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The identity of processes, and budgets of processes and owners. */
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
 * Returns the owner of a process: whose share of a limit its hits use up. That is the user. The user ids from 100000
 * on are handed out to users as subordinate ids in blocks of 65536, so a block is one owner. Root and system users
 * run many programs for others, so their owners are cgroups.
 */
#define SYSTEM_USERS 1000
#define SUBORDINATE_USERS 100000
#define CGROUP_OWNER (1ULL << 63)

static __always_inline __u64 owner_of(__u32 uid, __u64 cgroup)
{
	if (uid < SYSTEM_USERS)
		return cgroup | CGROUP_OWNER;
	if (uid >= SUBORDINATE_USERS)
		return SUBORDINATE_USERS + ((uid - SUBORDINATE_USERS) >> 16);
	return uid;
}

/*
 * Writes a process record, and adds the process to the map afterwards: if two threads hit their first probe at the
 * same time, a process record precedes the events of both.
 */
static __always_inline void announce(__u32 tgid, __u32 tid, __u64 now)
{
	struct crau_budget fresh = {.second = now, .moment = now, .since = now};
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
	fresh.owner = owner_of(p->uid, p->cgroup);
	bpf_ringbuf_submit(p, wakeup());
	bpf_map_update_elem(&processes, &tgid, &fresh, BPF_ANY);
}

/* Adds hits to the budget of a process or owner and reports whether it has exceeded it. */
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

#endif
