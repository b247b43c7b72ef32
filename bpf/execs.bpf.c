//go:build ignore

// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* Reports which processes execute programs or map libraries, so that user space can examine their mappings. */
#include "kernel.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/*
 * Minimum time between two reports of the same executable, in ns. If a build starts a compiler a thousand times a
 * second, user space need not examine all these processes.
 */
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

/* A process that has executed a program. */
struct exec {
	__u64 cgroup;	/* id in the version 2 hierarchy */
	__u32 tgid;
	__u32 uid;	/* in the initial user namespace */
};

const struct exec *const unused_exec __attribute__((unused));

/* The ring of reports, whose records are struct exec. */
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
	struct exec e;
	__u64 *last;

	if (file) {
		exe.inode = BPF_CORE_READ(file, f_inode, i_ino);
		exe.dev = BPF_CORE_READ(file, f_inode, i_sb, s_dev);
	}
	last = bpf_map_lookup_elem(&reported, &exe);
	if (last && now - *last < PAUSE)
		return 0;
	e.cgroup = BPF_CORE_READ(task, cgroups, dfl_cgrp, kn, id);
	e.tgid = bpf_get_current_pid_tgid() >> 32;
	e.uid = BPF_CORE_READ(task, cred, uid.val);
	/*
	 * If the ring is full, this execution is not reported, and the next pass of discovery finds the process. No
	 * time is stored then, so that the next execution is reported.
	 */
	if (!bpf_ringbuf_output(&execs, &e, sizeof(e), 0))
		bpf_map_update_elem(&reported, &exe, &now, BPF_ANY);
	return 0;
}

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

/* Versions of struct mm_struct: its field mm_lock_seq is an int since Linux 6.4 and a seqcount_t since 6.13. */
struct mm_struct___count {
	int map_count;
	struct {
		unsigned int sequence;
	} mm_lock_seq;
};

struct mm_struct___int {
	int mm_lock_seq;
};

struct vm_area_struct {
	unsigned long vm_start;
	unsigned long vm_flags;
	unsigned long vm_pgoff;
	struct file *vm_file;
};

#pragma clang attribute pop

struct bpf_iter_task_vma {
	__u64 opaque[1];
} __attribute__((aligned(8)));

#define VM_EXEC 0x4UL

/*
 * If a process has more mappings than this, they are not examined, because that would lock its memory map for too long.
 * Only the amount of its executable memory is compared.
 */
#define MAX_VMAS 8192

extern int bpf_iter_task_vma_new(struct bpf_iter_task_vma *it, struct task_struct *task, __u64 addr) __ksym __weak;
extern struct vm_area_struct *bpf_iter_task_vma_next(struct bpf_iter_task_vma *it) __ksym __weak;
extern void bpf_iter_task_vma_destroy(struct bpf_iter_task_vma *it) __ksym __weak;

/* The executable memory of a process when the iterator last ran. */
struct code {
	__u64 start_time;	/* CLOCK_BOOTTIME, ns; detects reused process ids */
	__u64 exec_vm;		/* pages */
	__u64 changes;		/* number that identifies the state of the memory map, see map_changes */
	__u64 hash;		/* hash of the executable mappings of files; 0 if they were not examined */
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 32768);
	__type(key, __u32);	/* thread group id */
	__type(value, struct code);
} seen SEC(".maps");

/* Returns a number that changes whenever the memory map changes, or 0 on kernels without such a number. */
static __u64 map_changes(struct mm_struct___count *mm)
{
	struct mm_struct___int *before_6_13 = (struct mm_struct___int *)mm;

	if (bpf_core_field_exists(mm->mm_lock_seq.sequence))
		return BPF_CORE_READ(mm, mm_lock_seq.sequence) + 1ULL;
	if (bpf_core_field_exists(before_6_13->mm_lock_seq))
		return (__u32)BPF_CORE_READ(before_6_13, mm_lock_seq) + 1ULL;
	return 0;
}

static __u64 mix(__u64 hash, __u64 value)
{
	hash = (hash ^ value) * 0x9e3779b97f4a7c15ULL;
	return hash ^ hash >> 29;
}

/*
 * Returns a hash of the executable mappings of files, or 0 if they cannot be examined now. The function does not wait
 * for the lock of the memory map.
 */
static __u64 hash_mappings(struct task_struct *task)
{
	struct bpf_iter_task_vma it;
	struct vm_area_struct *vma;
	__u64 hash = 1;

	if (bpf_iter_task_vma_new(&it, task, 0)) {
		bpf_iter_task_vma_destroy(&it);
		return 0;
	}
	while ((vma = bpf_iter_task_vma_next(&it))) {
		struct file *file;

		if (!(vma->vm_flags & VM_EXEC))
			continue;
		file = vma->vm_file;
		if (!file)
			continue;
		hash = mix(hash, vma->vm_start);
		hash = mix(hash, vma->vm_pgoff);
		hash = mix(hash, BPF_CORE_READ(file, f_inode, i_ino));
		hash = mix(hash, BPF_CORE_READ(file, f_inode, i_sb, s_dev));
	}
	bpf_iter_task_vma_destroy(&it);
	return hash | 1;
}

/*
 * Writes the ids of the processes whose executable memory has changed since the iterator last ran, each as __u32. Most
 * changes are seen in the amount of executable memory. If a library is replaced by one of equal size, only the mappings
 * differ. Mappings are examined only if the memory map has changed, and only since Linux 6.7.
 */
SEC("iter/task")
int changed_maps(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct code *before, now = {};
	struct mm_struct *mm;
	__u32 tgid;
	int same;

	if (!task)
		return 0;
	/* The first thread represents its process. If it has ended, any other thread does. */
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
	same = before && before->start_time == now.start_time && before->exec_vm == now.exec_vm;
	now.changes = map_changes((struct mm_struct___count *)mm);
	if (same && before->changes == now.changes)
		return 0;
	/* The kernel has this iterator since Linux 6.7. */
	if (bpf_iter_task_vma_new && BPF_CORE_READ((struct mm_struct___count *)mm, map_count) <= MAX_VMAS)
		now.hash = hash_mappings(task);
	if (same) {
		if (!now.hash)
			return 0; /* retried when the iterator runs again */
		if (before->hash == now.hash) {
			before->changes = now.changes;
			return 0;
		}
	}
	/* If the buffer is full, the kernel enlarges it and calls again. */
	if (!bpf_seq_write(ctx->meta->seq, &tgid, sizeof(tgid)))
		bpf_map_update_elem(&seen, &tgid, &now, BPF_ANY);
	return 0;
}
