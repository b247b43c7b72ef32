/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What the BPF program and user space agree on: limits, kinds and layouts.
 * bpf2go turns the enums and structs into Go, so each number stands here only.
 */
#ifndef CRAU_AUDIT_H
#define CRAU_AUDIT_H

/* Limits of one record. A longer key or value is cut and marked. */
enum crau_limit {
	CRAU_MAX_ARGS = 4,	/* arguments of a probe */
	CRAU_MAX_PAIRS = 16,	/* elements of a data array */
	CRAU_MAX_KEY = 62,	/* bytes of a key, without the NUL */
	CRAU_MAX_VALUE = 256,	/* bytes of a string (without the NUL) or blob */
	CRAU_MAX_NAME = 256,	/* bytes of an executable's name, with the NUL */
	CRAU_MAX_COMM = 16,	/* bytes of a task's name, with the NUL */
	CRAU_RUNS = 8,		/* runs of the program under way on one CPU */
	CRAU_MAX_SCOPES = 16,	/* scopes to keep */
	CRAU_MAX_SCOPE = 16,	/* bytes of a scope that count */
	CRAU_FILLS = 8,		/* the ring is read when one in so many of its bytes is in use */
};

/* What a record tells. The first eight are also what a site can be. */
enum crau_kind {
	CRAU_NEW_CONTEXT = 1,
	CRAU_WORD_DATA,
	CRAU_STRING_DATA,
	CRAU_BLOB_DATA,
	CRAU_DATA,
	CRAU_NEW_CONTEXT_WITH_DATA,
	CRAU_SESSION_ENTER,	/* context: the session that a library function works on */
	CRAU_SESSION_LEAVE,	/* context: the session that a library function forgets */
	CRAU_PROCESS,		/* struct crau_process: precedes a process's first event */
	CRAU_EXIT,		/* the last thread of an announced process exits */
};

enum crau_operand_kind {
	CRAU_CONST,
	CRAU_REGISTER,
	CRAU_MEMORY,
};

enum crau_pair_type {
	CRAU_WORD,
	CRAU_STRING,
	CRAU_BLOB,
};

/* Flags of a pair; a record has those of all its pairs. */
enum crau_flag {
	CRAU_CUT = 1,		/* the value is longer than the limit: its start is here */
	CRAU_FAULT = 2,		/* the value could not be read */
	CRAU_KEY_CUT = 4,	/* the key is longer than the limit: its start is here */
	CRAU_LOST = 8,		/* of a record only: pairs are missing */
	CRAU_KEY_AT = 16,	/* of a pair only: not the key but, in 4 bytes, its offset in the file's strings */
	CRAU_VALUE_AT = 32,	/* of a pair only: no value; the word is its offset in the file's strings */
};

/* Per-CPU counters. Of every hit exactly one of the first seven grows. */
enum crau_stat {
	CRAU_STAT_SENT,		/* records of hits handed to the ring; counted by the runs */
	CRAU_STAT_RING_FULL,	/* no room in the ring */
	CRAU_STAT_FAULT,	/* argument or array not readable */
	CRAU_STAT_BUSY,		/* every run of the CPU taken */
	CRAU_STAT_MALFORMED,	/* a site without a specification */
	CRAU_STAT_RATE_LIMITED,	/* the process was over its budget, or over its share of a filling ring */
	CRAU_STAT_HIDDEN,	/* data of scopes that are not to be kept */
	CRAU_STAT_PAIR_FAULT,	/* pairs of sent records whose key was not readable */
	CRAU_STAT_TRUNCATED,	/* sent records with a key, value or array that was cut */
	CRAU_STAT_PROCESS_LOST,	/* process and exit records for which the ring had no room */
	CRAU_STATS,
};

/* When the reader, which sleeps, is to be woken up. */
enum crau_wake {
	CRAU_WAKE_NEVER,
	CRAU_WAKE_NEXT,		/* by the next record */
	CRAU_WAKE_FILL,		/* by a record that comes when the ring fills: CRAU_FILLS */
};

/* One argument of a probe site: where to find it when the site is hit. */
struct crau_operand {
	__s64 value;	/* the constant, or the displacement */
	__u8 kind;	/* enum crau_operand_kind */
	__u8 base;	/* index of a 64-bit word in the saved registers, 0xff: none */
	__u8 index;	/* likewise */
	__u8 scale;	/* log2 of the index register's factor */
	__u8 size;	/* in bytes: 1, 2, 4 or 8 */
	__u8 is_signed;
	__u8 shift;	/* bits to shift the base right (the high byte registers) */
	__u8 pad;
};

/* A probe site, found by the attach cookie. */
struct crau_spec {
	struct crau_operand args[CRAU_MAX_ARGS];
	__u64 address;	/* of the site, as the file says; where it is loaded, all is moved by as much */
	__u64 strings;	/* likewise: the first byte of the file's read-only strings, which user space knows */
	__u32 room;	/* in how many of these bytes a string can start that user space knows as far as it is worth reading */
	__u32 file;	/* user space's number of the file that holds the site */
	__u8 kind;	/* enum crau_kind; 0: not in use */
	__u8 nargs;
	__u16 pad;
	__u32 pad2;
};

/* What the keys of a scope start with, up to the colons: tls. */
struct crau_scope {
	__u8 text[CRAU_MAX_SCOPE];
};

/* Head of every record in the ring. */
struct crau_record {
	__u64 time;	/* CLOCK_BOOTTIME, ns */
	__u64 context;
	__u64 parent;
	__u32 tgid;
	__u32 tid;
	__u32 file;
	__u8 kind;	/* enum crau_kind */
	__u8 flags;	/* enum crau_flag */
	__u16 pairs;	/* how many crau_pair follow */
	__u64 lost;	/* hits of the process lost before this record */
};

/*
 * Head of a pair; behind it key_len bytes of key and value_len bytes of value, neither with a NUL. The next pair
 * starts at the next multiple of eight.
 */
struct crau_pair {
	__u64 word;	/* the word; of a blob the size before it was cut; see CRAU_VALUE_AT */
	__u32 value_len;
	__u16 key_len;
	__u8 type;	/* enum crau_pair_type */
	__u8 flags;	/* enum crau_flag */
};

/* An array element as the traced program lays it out. */
struct crau_element {
	__u64 key;
	__u64 value;
	__u64 size;	/* CRAU_SIZE_WORD, CRAU_SIZE_STRING, else a blob's */
};

#define CRAU_SIZE_WORD ((__u64)-2)
#define CRAU_SIZE_STRING ((__u64)-1)

/* What is kept of a process that fired a probe. Threads update it without a lock: it need not be exact, but for lost. */
struct crau_budget {
	__u64 lost;	/* hits lost */
	__u64 second;	/* when the current stretch of about a second began, CLOCK_BOOTTIME, ns */
	__u64 moment;	/* when the current stretch of some milliseconds began, likewise */
	__u32 second_hits;
	__u32 moment_hits;
	__u32 limited;	/* for the rest of the moment */
	__u32 pad;
};

/* Who a process is, read by the kernel when it first fires a probe. */
struct crau_process {
	struct crau_record head;
	__u64 start_time;	/* CLOCK_BOOTTIME, ns */
	__u64 cgroup;		/* id in the version 2 hierarchy */
	__u64 exe_inode;
	__u32 exe_dev;		/* the kernel's own encoding: major << 20 | minor */
	__u32 uid;		/* in the initial user namespace */
	__u32 gid;
	__u32 ppid;
	char comm[CRAU_MAX_COMM];
	char exe[CRAU_MAX_NAME];	/* base name of the executable file */
};

_Static_assert(sizeof(struct crau_operand) == 16, "operand");
_Static_assert(sizeof(struct crau_spec) == 96, "spec");
_Static_assert(sizeof(struct crau_scope) == CRAU_MAX_SCOPE, "scope");
_Static_assert(sizeof(struct crau_record) == 48, "record");
_Static_assert(sizeof(struct crau_pair) == 16, "pair");
_Static_assert(sizeof(struct crau_element) == 24, "element");
_Static_assert(sizeof(struct crau_process) == 48 + 40 + 16 + 256, "process");

#endif
