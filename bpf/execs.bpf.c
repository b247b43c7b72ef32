//go:build ignore

// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* Reports to user space which processes execute programs or map libraries, so that it can examine what they map. */
#include "kernel.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Minimum time between two reports of the same executable, in ns. A build that starts a compiler a thousand times a second
 * need not be examined a thousand times. */
#define PAUSE (250 * 1000 * 1000ULL)

struct executable {
	__u64 inode;
	__u64 dev;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct executable);
	__type(value, __u64);	/* CLOCK_BOOTTIME of the last report, ns */
} reported SEC(".maps");

/* Thread group ids, __u32 each. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 64 * 1024);
} execs SEC(".maps");

SEC("raw_tp/sched_process_exec")
int report_exec(void *ctx __attribute__((unused)))
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	struct file *file = BPF_CORE_READ(task, mm, exe_file);
	__u64 now = bpf_ktime_get_boot_ns();
	struct executable exe = {};
	__u64 *last;
	__u32 tgid;

	if (file) {
		exe.inode = BPF_CORE_READ(file, f_inode, i_ino);
		exe.dev = BPF_CORE_READ(file, f_inode, i_sb, s_dev);
	}
	last = bpf_map_lookup_elem(&reported, &exe);
	if (last && now - *last < PAUSE)
		return 0;
	tgid = bpf_get_current_pid_tgid() >> 32;
	/* If the ring is full, the next pass finds the process, and the next execution is reported. */
	if (!bpf_ringbuf_output(&execs, &tgid, sizeof(tgid), 0))
		bpf_map_update_elem(&reported, &exe, &now, BPF_ANY);
	return 0;
}

/* The executable memory of a process when the iterator last ran. */
struct code {
	__u64 start_time;	/* CLOCK_BOOTTIME, ns; tells reused process ids apart */
	__u64 exec_vm;		/* pages */
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 32768);
	__type(key, __u32);	/* thread group id */
	__type(value, struct code);
} seen SEC(".maps");

/* Writes the ids of the processes whose executable memory changed since the last run, __u32 each. */
SEC("iter/task")
int changed_maps(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct code *before, now = {};
	struct mm_struct *mm;
	__u32 tgid;

	if (!task)
		return 0;
	/* One thread stands for the process: the first, unless it has ended. */
	mm = BPF_CORE_READ(task, group_leader, mm);
	if (mm && task->pid != task->tgid)
		return 0;
	if (!mm)
		mm = BPF_CORE_READ(task, mm);
	if (!mm)
		return 0;
	tgid = task->tgid;
	now.start_time = BPF_CORE_READ(task, group_leader, start_boottime);
	now.exec_vm = BPF_CORE_READ(mm, exec_vm);
	before = bpf_map_lookup_elem(&seen, &tgid);
	if (before && before->start_time == now.start_time && before->exec_vm == now.exec_vm)
		return 0;
	/* If the buffer is full, the kernel enlarges it and calls again. */
	if (!bpf_seq_write(ctx->meta->seq, &tgid, sizeof(tgid)))
		bpf_map_update_elem(&seen, &tgid, &now, BPF_ANY);
	return 0;
}
