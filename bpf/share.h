/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Shares of the ring. The unread bytes of an owner may be at most BUSY_PART times the bytes that are free. So a single
 * owner gets three quarters of the ring, two owners get three sevenths each, and there is always room for one more
 * owner. The unread bytes of a process may be at most the bytes that its owner may still use, so a single process gets
 * three fifths of the ring and leaves room for the owner's other processes. Thus a process that floods the ring only
 * loses its own hits. Very many short-lived processes together can use up the share of their owner, so that the owner's
 * other young processes lose hits too. For its older processes with few unread bytes, an owner has an additional part.
 */
#ifndef CRAU_SHARE_H
#define CRAU_SHARE_H

#define SECOND (1 << 30) /* ns, 1.07 s */

#define BUSY_PART 3
#define QUIET_PART 4	/* replaces BUSY_PART for processes older than SECOND with few unread bytes: ... */
#define QUIET 16	/* ... at most 1/QUIET of the bytes that are free */
#define ROOT_RESERVE 8	/* 1/ROOT_RESERVE of the ring is reserved for processes of root */

/*
 * An owner is a user, with two exceptions. User ids from 100000 on are handed out to users as subordinate ids in blocks
 * of 65536, so a block is one owner. Root and system users run programs for other users, so the owner of their
 * processes is the cgroup.
 */
#define SYSTEM_USERS 1000
#define SUBORDINATE_USERS 100000
#define CGROUP_OWNER (1ULL << 63)
#define ROOT_OWNER (1ULL << 62)

static __always_inline __u64 owner_of(__u32 uid, __u64 cgroup)
{
	if (!uid)
		return cgroup | CGROUP_OWNER | ROOT_OWNER;
	if (uid < SYSTEM_USERS)
		return cgroup | CGROUP_OWNER;
	if (uid >= SUBORDINATE_USERS)
		return SUBORDINATE_USERS + ((uid - SUBORDINATE_USERS) >> 16);
	return uid;
}

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64);	/* owner_of */
	__type(value, struct crau_owner);
} owners SEC(".maps");

/* The state of a new owner. It is not on the stack, because all functions together have only 512 bytes of stack. */
static const struct crau_owner new_owner = {};

/* Returns the state of an owner. A new owner is added. */
static __noinline struct crau_owner *add_owner(__u64 id)
{
	bpf_map_update_elem(&owners, &id, &new_owner, BPF_NOEXIST);
	return bpf_map_lookup_elem(&owners, &id);
}

static __always_inline struct crau_owner *find_owner(__u64 id)
{
	struct crau_owner *o = bpf_map_lookup_elem(&owners, &id);

	return o ? o : add_owner(id);
}

/* Adds one to the losses of an owner, for the reason stat. */
static __noinline int count_of_owner(__u64 id, __u32 stat)
{
	struct crau_owner *o = id ? find_owner(id) : 0;

	if (o && stat < CRAU_OWNER_STATS)
		__sync_fetch_and_add(&o->n[stat], 1);
	return 0;
}

/* The state of the ring. */
struct fill {
	__u64 written;	/* position up to which records have been reserved */
	__u64 read;	/* position up to which records have been read */
	__u64 size;
};

static __always_inline void query_ring(struct fill *f)
{
	f->read = bpf_ringbuf_query(&ring, BPF_RB_CONS_POS); /* must precede written, which grows in the meantime */
	f->written = bpf_ringbuf_query(&ring, BPF_RB_PROD_POS);
	f->size = bpf_ringbuf_query(&ring, BPF_RB_RING_SIZE);
}

/*
 * If the reader waits until 1/CRAU_FILLS of the ring is in use, and that is so, makes the next record wake the reader.
 */
static __always_inline void check_fill(const struct fill *f)
{
	if (*(volatile __u32 *)&reader_waits == CRAU_WAKE_FILL && f->written - f->read > f->size / CRAU_FILLS)
		*(volatile __u32 *)&reader_waits = CRAU_WAKE_NEXT;
}

#define MOVING (~0ULL) /* value of crau_share.boundary while a CPU determines the new one */

/* Moves the position of the share's last record forward to the current end of the ring, never back. */
static __always_inline void reach(struct crau_share *s)
{
	__u64 written = bpf_ringbuf_query(&ring, BPF_RB_PROD_POS), last;

	for (int i = 0; i < 4; i++) {
		last = s->last;
		if (last >= written || __sync_val_compare_and_swap(&s->last, last, written) == last)
			break;
	}
}

/*
 * Adds bytes to a share and returns how many of its bytes are unread. The ring does not show whose records were read,
 * so the bytes are counted in two parts, before and after a boundary in the ring. Once the reader has passed the
 * boundary, the earlier part is dropped, the later part takes its place, and a new later part begins at the current end
 * of the ring. The result is at least the share's unread bytes, even if several CPUs add to the share at the same time,
 * and at most the unread bytes of all owners.
 */
static __always_inline __u64 charge(struct crau_share *s, __u64 bytes, const struct fill *f)
{
	__u64 boundary = s->boundary, later, unread, all = f->written - f->read;

	if (f->read >= boundary && __sync_val_compare_and_swap(&s->boundary, boundary, MOVING) == boundary) {
		later = s->later;
		s->earlier = f->read >= s->last ? 0 : later;
		__sync_fetch_and_add(&s->later, -later);
		s->boundary = bpf_ringbuf_query(&ring, BPF_RB_PROD_POS);
	}
	if (bytes) {
		reach(s);
		__sync_fetch_and_add(&s->later, bytes);
	}
	unread = s->earlier + s->later;
	return unread < all ? unread : all;
}

/*
 * Returns how many bytes of the ring are free for an owner. The bytes reserved for root are free only for root's
 * owners.
 */
static __always_inline __u64 free_bytes(__u64 owner, const struct fill *f)
{
	__u64 used = f->written - f->read, size = f->size;

	if ((owner & (CGROUP_OWNER | ROOT_OWNER)) != (CGROUP_OWNER | ROOT_OWNER))
		size -= size / ROOT_RESERVE;
	return used < size ? size - used : 0;
}

#endif
