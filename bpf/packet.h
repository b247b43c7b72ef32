/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Parses a packet at a socket and sends it to user space. */
#ifndef CRAU_PACKET_H
#define CRAU_PACKET_H

/* The packet under examination. */
struct packet {
	__u32 offset;	/* offset of the payload in the packet, in bytes */
	__u32 len;	/* bytes of payload */
	__u32 seq;	/* sequence number of the payload's first byte */
	__u32 peer_seq;	/* the other direction's next sequence number */
	__u64 cgroup;	/* cgroup id of the socket */
	__u64 now;	/* CLOCK_BOOTTIME, ns */
	__u32 uid;	/* user id of the socket */
	__u16 flags;	/* enum crau_wire_flag */
	__u8 tcp_flags;
	__u8 egress;
	__u8 foreign;	/* 1: the process that sends the packet is not observed */
	__u8 pad[3];
};

#define TCP_FIN 1
#define TCP_SYN 2
#define TCP_RST 4
#define TCP_ACK 16

/* Finds the payload of a TCP packet. Returns -1 if the packet is not TCP or is incomplete, else 0. */
static __always_inline int parse(struct __sk_buff *skb, struct packet *p)
{
	__u8 ip[20], tcp[14];
	__u32 at;

	if (skb->protocol == bpf_htons(0x0800)) {
		if (bpf_skb_load_bytes(skb, 0, ip, 20) || ip[9] != IPPROTO_TCP)
			return -1;
		at = (ip[0] & 15) * 4;
	} else {
		if (bpf_skb_load_bytes(skb, 0, ip, 8) || ip[6] != IPPROTO_TCP)
			return -1;
		at = 40;
	}
	if (bpf_skb_load_bytes(skb, at, tcp, sizeof(tcp)))
		return -1;
	p->seq = (__u32)tcp[4] << 24 | tcp[5] << 16 | tcp[6] << 8 | tcp[7];
	p->tcp_flags = tcp[13];
	p->offset = at + (tcp[12] >> 4) * 4;
	p->len = skb->len > p->offset ? skb->len - p->offset : 0;
	return 0;
}

/*
 * Reports whether the share of the connection's owner has room for another record. If so, adds the record to the share.
 */
static __always_inline int owner_admitted(struct packet *p, const struct fill *f)
{
	__u64 owner = owner_of(p->uid, p->cgroup);
	struct crau_owner *state = find_owner(owner);
	__u32 len = sizeof(struct crau_packet) + RING_HEADER;

	if (!state)
		return 1;
	if (charge(&state->share, 0, f) >= free_bytes(owner, f) * BUSY_PART)
		return 0;
	charge(&state->share, len + (p->len <= 512 ? 512 : p->len <= 2048 ? 2048 : CRAU_WIRE_BYTES), f);
	return 1;
}

#define FILL_AND_SUBMIT(room)                                                          \
	do {                                                                           \
		struct crau_packet *r = bpf_ringbuf_reserve(&ring, sizeof(*r) + (room), 0); \
		__u32 n = len;                                                         \
                                                                                       \
		if (!r)                                                                \
			return -1;                                                     \
		__builtin_memset(r, 0, sizeof(*r));                                    \
		r->head.time = p->now;                                                  \
		r->head.context = bpf_get_socket_cookie(skb);                          \
		r->head.tgid = tgid;                                                   \
		r->head.tid = tid;                                                     \
		r->head.kind = CRAU_PACKET;                                            \
		r->cgroup = p->cgroup;                                                 \
		r->uid = p->uid;                                                       \
		r->seq = p->seq;                                                       \
		r->flags = p->flags;                                                   \
		r->foreign = p->foreign;                                               \
		if (p->flags & (CRAU_WIRE_TLS | CRAU_WIRE_SSH)) {                      \
			r->start_seq = d->prefix_len ? d->prefix_seq : p->seq;         \
			r->peer_seq = p->peer_seq;                                     \
			r->prefix_len = d->prefix_len;                                 \
			__builtin_memcpy(r->prefix, d->prefix, CRAU_WIRE_PREFIX);      \
		}                                                                      \
		if (n) { /* the verifier of Linux 6.1 knows from this form that n is 1 to room */ \
			n = (n > (room) ? (room) : n) - 1;                             \
			barrier_var(n);                                                \
			n = (n & ((room) - 1)) + 1;                                    \
			if (!bpf_skb_load_bytes(skb, p->offset, r->payload, n))        \
				r->len = n;                                            \
		}                                                                      \
		bpf_ringbuf_submit(r, wakeup());                                       \
	} while (0)

/* Sends the packet to user space. Returns 0 on success. */
static __noinline int submit(struct __sk_buff *skb, struct packet *p, struct direction *d, const struct fill *f)
{
	struct crau_budget *process;
	struct task_struct *task;
	__u32 len = p->len, tgid = 0, tid = 0;

	if (p->egress) {
		task = (struct task_struct *)bpf_get_current_task();
		tgid = BPF_CORE_READ(task, tgid);
		tid = BPF_CORE_READ(task, pid);
		if (tgid && BPF_CORE_READ(task, mm)) {
			p->flags |= CRAU_WIRE_OWNER;
			if (!observed(tgid)) {
				p->foreign = 1;
			} else {
				process = current_process(tgid, p->now);
				if (process && !process->announced)
					announce(process, tgid, tid, p->now, f);
			}
		}
	}
	if (len <= 512)
		FILL_AND_SUBMIT(512);
	else if (len <= 2048)
		FILL_AND_SUBMIT(2048);
	else
		FILL_AND_SUBMIT(CRAU_WIRE_BYTES);
	return 0;
}

/*
 * Sends the packet to user space unless its owner's share of the ring is used up. If the connection's protocol is
 * known, its first packet that is sent or lost is counted, and the connection is not examined further after a loss.
 */
static __always_inline void report(struct __sk_buff *skb, struct bpf_sock *sk, struct conn *c, struct direction *d,
				   struct packet *p)
{
	__u32 stat = CRAU_WIRE_RATE_LIMITED;
	struct fill f;

	query_ring(&f);
	check_fill(&f);
	p->now = bpf_ktime_get_boot_ns();
	p->cgroup = bpf_sk_cgroup_id(sk);
	p->uid = bpf_get_socket_uid(skb);
	if (owner_admitted(p, &f)) {
		stat = CRAU_WIRE_RING_FULL;
		if (!submit(skb, p, d, &f)) {
			if (!c->sent && c->protocol) {
				c->sent = 1;
				count_wire(CRAU_WIRE_SENT);
			}
			return;
		}
	}
	if (!c->protocol)
		return;
	count_wire(c->sent ? CRAU_WIRE_RECORDS_LOST : stat);
	if (!c->sent)
		count_of_owner(owner_of(p->uid, p->cgroup),
			       stat == CRAU_WIRE_RING_FULL ? CRAU_STAT_WIRE_RING_FULL : CRAU_STAT_WIRE_RATE_LIMITED);
	c->done = 1;
}

#endif
