/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Identifies the processes that hit probes or open connections, and counts their lost hits. */
#ifndef CRAU_PROCESS_H
#define CRAU_PROCESS_H

#include "share.h"

/* Size of the header that the kernel adds before each record in the ring, in bytes. */
#define RING_HEADER 8

/*
 * Returns the owner of the current task. It reads task_struct, because programs at sockets cannot call the helpers for
 * the user and cgroup.
 */
static __always_inline __u64 current_owner(void)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();

	return owner_of(BPF_CORE_READ(task, cred, uid.val), BPF_CORE_READ(task, cgroups, dfl_cgrp, kn, id));
}

/* Returns the state of the current task's process. The state of a new process is created. */
static __always_inline struct crau_budget *current_process(__u32 tgid, __u64 now)
{
	struct crau_budget fresh = {.since = now, .second = now}, *b = bpf_map_lookup_elem(&processes, &tgid);

	if (b)
		return b;
	fresh.owner = current_owner();
	bpf_map_update_elem(&processes, &tgid, &fresh, BPF_NOEXIST);
	return bpf_map_lookup_elem(&processes, &tgid);
}

/*
 * Writes the process record of the current process, and then marks the process as announced. If two threads hit the
 * process's first probe at the same time, each writes a process record before its hit's record. The future exit record
 * is added to the owner's share too, because nothing is added when the process exits.
 */
static __always_inline void announce(struct crau_budget *b, __u32 tgid, __u32 tid, __u64 now, const struct fill *f)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	struct crau_process *p = bpf_ringbuf_reserve(&ring, sizeof(*p), 0);
	struct crau_owner *owner = find_owner(b->owner);
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
	b->announced = 1;
	if (owner)
		charge(&owner->share, sizeof(*p) + sizeof(struct crau_record) + 2 * RING_HEADER, f);
}

/* Counts a lost hit of the current process and of its owner. The next record of the process contains the count. */
static __always_inline void count_lost(__u32 tgid, enum crau_stat stat)
{
	struct crau_budget *b = bpf_map_lookup_elem(&processes, &tgid);

	if (b) {
		__sync_fetch_and_add(&b->lost, 1);
		__sync_fetch_and_add(&epoch, 1);
	}
	count_of_owner(b ? b->owner : current_owner(), stat);
}

#endif
