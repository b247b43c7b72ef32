/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Limits, kinds and layouts that the BPF program at probe sites shares with user space. bpf2go generates the Go
 * constants and structs from this file.
 */
#ifndef CRAU_AUDIT_H
#define CRAU_AUDIT_H

/* Limits. Longer keys and values are truncated and flagged with CRAU_KEY_CUT or CRAU_CUT. */
enum crau_limit {
	CRAU_MAX_ARGS = 4,	/* arguments of a probe */
	CRAU_MAX_PAIRS = 16,	/* elements of a data array that are recorded */
	CRAU_MAX_KEY = 62,	/* bytes of a key, without the NUL */
	CRAU_MAX_VALUE = 256,	/* bytes of a string (without the NUL) or blob */
	CRAU_MAX_NAME = 256,	/* bytes of an executable's name, with the NUL */
	CRAU_MAX_COMM = 16,	/* bytes of a task's name, with the NUL */
	CRAU_RUNS = 8,		/* runs of the program that can be in progress on one CPU */
	CRAU_SLEEPING_RUNS = 4,	/* runs on one CPU that may sleep in a page fault at the same time */
	CRAU_MAX_SCOPES = 16,	/* scopes that can be included */
	CRAU_MAX_SCOPE = 16,	/* bytes of a scope that are compared */
	CRAU_FILLS = 8,		/* the reader is woken when 1/CRAU_FILLS of the ring is in use */
};

/* Kinds of records. The first eight are also the kinds of sites. */
enum crau_kind {
	CRAU_NEW_CONTEXT = 1,
	CRAU_WORD_DATA,
	CRAU_STRING_DATA,
	CRAU_BLOB_DATA,
	CRAU_DATA,
	CRAU_NEW_CONTEXT_WITH_DATA,
	CRAU_SESSION_ENTER,	/* the thread starts to work on the session in the field context */
	CRAU_SESSION_LEAVE,	/* the library releases the session in the field context */
	CRAU_PROCESS,		/* struct crau_process: precedes the first other record of a process */
	CRAU_EXIT,		/* the last thread of a process with a CRAU_PROCESS record exits */
	CRAU_PACKET,		/* struct crau_packet: a packet of a TLS or SSH connection */
	CRAU_SHORT,		/* struct crau_short: one word or string with its key */
};

enum crau_operand_kind {
	CRAU_CONST,
	CRAU_REGISTER,
	CRAU_MEMORY,
	CRAU_WHOLE_REGISTER,	/* 8-byte CRAU_REGISTER without displacement or shift: usual, and faster */
};

enum crau_pair_type {
	CRAU_WORD,
	CRAU_STRING,
	CRAU_BLOB,
};

/* Flags of pairs and records. A record has the flags of all its pairs, except the flags for pairs only. */
enum crau_flag {
	CRAU_CUT = 1,		/* the value, or the record's array, was truncated */
	CRAU_FAULT = 2,		/* the value was unreadable */
	CRAU_KEY_CUT = 4,	/* the key was truncated */
	CRAU_LOST = 8,		/* records only: pairs are missing */
	CRAU_KEY_OFFSET = 16,	/* pairs only: a 4-byte offset in the file's strings replaces the key, see crau_pair */
	CRAU_VALUE_OFFSET = 32,	/* pairs only: the field word is the value's offset into the file's strings */
};

/* Per-CPU counters. Every hit increments exactly one of the first eight. */
enum crau_stat {
	CRAU_STAT_SENT,		/* hits whose record was written to the ring; counted in struct run instead */
	CRAU_STAT_RING_FULL,	/* lost: the ring was full */
	CRAU_STAT_FAULT,	/* lost: an argument, the array or all keys were unreadable */
	CRAU_STAT_BUSY,		/* lost: all runs of the CPU were in use or reserved for other owners */
	CRAU_STAT_MALFORMED,	/* lost: the site has no specification, as after its removal */
	CRAU_STAT_RATE_LIMITED,	/* lost: the process exceeded its rate limit or its share of the ring */
	CRAU_STAT_OWNER_LIMITED,	/* lost: the owner of the process used up its share of the ring */
	CRAU_STAT_HIDDEN,	/* not recorded: data of excluded scopes */
	CRAU_STAT_PAIR_FAULT,	/* pairs that were not recorded because their key was unreadable */
	CRAU_STAT_TRUNCATED,	/* sent records with a truncated key, value or array */
	CRAU_STAT_PROCESS_LOST,	/* process and exit records lost because the ring was full */
	CRAU_STAT_FAMILY_FULL,	/* descendants of a command for which the map family had no room */
	CRAU_STATS,
	/* In crau_owner only: TLS and SSH connections that were lost. */
	CRAU_STAT_WIRE_RING_FULL = CRAU_STATS,	/* lost: the ring was full */
	CRAU_STAT_WIRE_RATE_LIMITED,	/* lost: the owner used up its share of the ring */
	CRAU_OWNER_STATS,
};

/* Which record wakes the reader of the ring. */
enum crau_wake {
	CRAU_WAKE_NEVER,
	CRAU_WAKE_NEXT,		/* the next record */
	CRAU_WAKE_FILL,		/* the next record once 1/CRAU_FILLS of the ring is in use */
};

/* The location of one argument of a probe site. */
struct crau_operand {
	__s64 value;	/* the constant, extended to 64 bits, or the displacement */
	__u8 kind;	/* enum crau_operand_kind */
	__u8 base;	/* base register: index of its 64-bit word in pt_regs; 0xff: none */
	__u8 index;	/* index register: index of its 64-bit word in pt_regs; 0xff: none */
	__u8 scale;	/* log2 of the factor of the index register */
	__u8 size;	/* of the argument in bytes: 1, 2, 4 or 8 */
	__u8 is_signed;
	__u8 shift;	/* bits to shift the base register right (%ah, %bh, %ch, %dh) */
	__u8 pad;
};

/* A probe site. The lower half of its attach cookie is its index in the map sites. */
struct crau_spec {
	struct crau_operand args[CRAU_MAX_ARGS];	/* arguments that the probe does not have are the constant 0 */
	__u64 address;	/* virtual address of the site in the file */
	__u64 strings;	/* virtual address in the file of the strings of which user space has a copy */
	__u32 strings_len;	/* bytes of the copy in which a string may begin; 0: there is no copy */
	__u32 file;	/* file number, as in the records */
	__u8 kind;	/* enum crau_kind; 0: unused entry */
	__u8 is_short;	/* hits can be a crau_short: one word or string, from constants and whole registers */
	__u8 pad[6];
};

/* A scope: the part of a key before "::", such as tls. */
struct crau_scope {
	__u8 text[CRAU_MAX_SCOPE];
};

/* The head of every record in the ring except crau_short. */
struct crau_record {
	__u64 time;	/* CLOCK_BOOTTIME, ns */
	__u64 context;
	__u64 parent;
	__u32 tgid;
	__u32 tid;
	__u32 file;
	__u8 kind;	/* enum crau_kind */
	__u8 flags;	/* enum crau_flag */
	__u16 pairs;	/* number of crau_pair that follow */
	__u64 lost;	/* hits of the process that were lost before this record */
};

/*
 * A hit that adds one word or string to a context, where user space has a copy of the key and of the string. It takes
 * less room and time than a crau_record with a crau_pair.
 */
struct crau_short {
	__u64 time;	/* CLOCK_BOOTTIME, ns */
	__u64 context;
	__u64 word;	/* the word, or the string's offset into the file's strings */
	__u32 tgid;
	__u32 tid;
	__u32 file;
	__u8 kind;	/* CRAU_SHORT */
	__u8 flags;	/* 0 */
	__u16 type;	/* CRAU_WORD or CRAU_STRING */
	__u32 key;	/* the key's offset into the file's strings */
	__u32 lost;	/* hits of the process that were lost before this record */
};

/*
 * The head of a pair, followed by key_len bytes of key and value_len bytes of value, both without NUL. The next pair
 * starts at the next multiple of 8 bytes. With CRAU_KEY_OFFSET, the 4 bytes of key are the key's offset. If the value
 * has no bytes either, key_len is 0, value_len is the key's offset, and no bytes follow.
 */
struct crau_pair {
	__u64 word;	/* a word's value; a blob's size before truncation; see CRAU_VALUE_OFFSET */
	__u32 value_len;
	__u16 key_len;
	__u8 type;	/* enum crau_pair_type */
	__u8 flags;	/* enum crau_flag */
};

/* An element of a data array, in its layout in the memory of the traced process. */
struct crau_element {
	__u64 key;
	__u64 value;
	__u64 size;	/* CRAU_SIZE_WORD, CRAU_SIZE_STRING or the size of a blob */
};

#define CRAU_SIZE_WORD ((__u64)-2)
#define CRAU_SIZE_STRING ((__u64)-1)

/* How much of the ring an owner or process uses, see share.h. It is updated without a lock and may be inexact. */
struct crau_share {
	__u64 boundary;	/* position in the ring at which the later part begins */
	__u64 last;	/* position in the ring of the share's last record, or a later position */
	__u64 earlier;	/* bytes of records before boundary that may be unread */
	__u64 later;	/* bytes of records since boundary */
};

/* An owner of processes, see share.h. */
struct crau_owner {
	struct crau_share share;
	__u64 n[CRAU_OWNER_STATS];	/* counts of losses, by enum crau_stat */
};

/*
 * The state of a process that has hit a probe or opened a connection. Threads update it without a lock, so the counts
 * except lost may be inexact.
 */
struct crau_budget {
	__u64 lost;	/* hits of the process that were lost */
	__u64 owner;	/* the process's owner, see owner_of in share.h */
	__u64 since;	/* time of the first hit, CLOCK_BOOTTIME, ns */
	__u64 second;	/* start of the current interval of about a second, CLOCK_BOOTTIME, ns */
	__u32 second_hits;	/* hits in that interval */
	__u32 announced;	/* 1: the process's crau_process record was written */
	struct crau_share share;
};

/* Describes a process at the time of its first probe hit or packet. */
struct crau_process {
	struct crau_record head;
	__u64 start_time;	/* CLOCK_BOOTTIME, ns */
	__u64 cgroup;		/* cgroup id in the version 2 hierarchy */
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
_Static_assert(sizeof(struct crau_short) == 48, "short");
_Static_assert(__builtin_offsetof(struct crau_short, kind) == __builtin_offsetof(struct crau_record, kind), "kind");
_Static_assert(sizeof(struct crau_pair) == 16, "pair");
_Static_assert(sizeof(struct crau_element) == 24, "element");
_Static_assert(sizeof(struct crau_process) == 48 + 40 + 16 + 256, "process");

#endif
