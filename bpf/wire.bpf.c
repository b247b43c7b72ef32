//go:build ignore

// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * Programs at the sockets of all processes of the version 2 hierarchy. They find the connections that open with a TLS
 * ClientHello or an SSH version string, at their start or after a dialogue such as STARTTLS, and send the packets that
 * follow to user space until the connection encrypts. Nothing of other connections leaves the kernel.
 */
#include "kernel.h"
#include "socket.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include "wire.h"
#include "maps.h"
#include "process.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

const struct crau_packet *const unused_packet __attribute__((unused));
const enum crau_wire_limit *const unused_wire_limit __attribute__((unused));
const enum crau_wire_flag *const unused_wire_flag __attribute__((unused));
const enum crau_wire_stat *const unused_wire_stat __attribute__((unused));

/* One direction of a connection. */
struct direction {
	__u32 bytes;
	__u32 next;		/* TLS: sequence number of the next record's header */
	__u32 prefix_seq;	/* sequence number of prefix[0] */
	__u8 packets;
	__u8 early;		/* packets that were sent although they arrived ahead of the first one */
	__u8 finished;		/* no more of this direction is needed */
	__u8 prefix_len;
	__u8 prefix[CRAU_WIRE_PREFIX];	/* the start of what may be a ClientHello, from packets that were shorter */
	__u16 pad;
};

struct conn {
	__u8 done;	/* the connection's packets are no longer examined */
	__u8 protocol;	/* CRAU_WIRE_TLS or CRAU_WIRE_SSH; 0: not known yet */
	__u8 sent;	/* user space knows the connection */
	__u8 seen;	/* data was sent or received */
	__u8 active;	/* the socket's process connected, rather than accepted */
	__u8 pad[3];
	struct direction received;
	struct direction transmitted;
};

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct conn);
} conns SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, CRAU_WIRE_STATS);
	__type(key, __u32);
	__type(value, __u64);
} wire_stats SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, CRAU_WIRE_OWNERS);
	__type(key, struct crau_wire_owner);
	__type(value, struct crau_budget);
} owners SEC(".maps");

/* Ports whose connections are not examined, local or remote, in host byte order. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, CRAU_WIRE_PORTS);
	__type(key, __u16);
	__type(value, __u8);
} excluded_ports SEC(".maps");

/* Cgroups whose connections are not examined. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, CRAU_WIRE_CGROUPS);
	__type(key, __u64);
	__type(value, __u8);
} excluded_cgroups SEC(".maps");

static __always_inline struct direction *direction(struct conn *c, __u32 egress)
{
	return egress ? &c->transmitted : &c->received;
}

/* The packet under examination. */
struct packet {
	__u32 offset;	/* of the payload */
	__u32 len;	/* of the payload */
	__u32 seq;
	__u32 peer_seq;	/* the other direction's next sequence number */
	__u64 cgroup;	/* of the socket */
	__u64 now;
	__u32 uid;	/* of the socket */
	__u8 tcp_flags;
	__u8 egress;
	__u8 flags;	/* enum crau_wire_flag */
	__u8 foreign;	/* the process that sends it is not observed */
};

#define TCP_FIN 1
#define TCP_SYN 2
#define TCP_RST 4
#define TCP_ACK 16

static __always_inline void count_wire(__u32 stat)
{
	__u64 *n = bpf_map_lookup_elem(&wire_stats, &stat);

	if (n)
		__sync_fetch_and_add(n, 1);
}

/* Finds the payload. Returns 0 if the packet is TCP. */
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

static __always_inline int excluded(struct bpf_sock *sk)
{
	__u16 local = sk->src_port, remote = bpf_ntohs(sk->dst_port);
	__u64 cgroup;

	if (bpf_map_lookup_elem(&excluded_ports, &local) || bpf_map_lookup_elem(&excluded_ports, &remote))
		return 1;
	for (int level = 0; level < CRAU_WIRE_LEVELS; level++) {
		cgroup = bpf_sk_ancestor_cgroup_id(sk, level);
		if (!cgroup)
			break;
		if (bpf_map_lookup_elem(&excluded_cgroups, &cgroup))
			return 1;
	}
	return 0;
}

/* Whether the owner of the connection may have another record. */
static __always_inline int owner_admitted(__u64 cgroup, __u32 uid, __u64 now)
{
	struct crau_wire_owner owner = {.cgroup = cgroup, .uid = uid};
	struct crau_budget fresh = {.second = now, .moment = now};
	struct crau_budget *b = bpf_map_lookup_elem(&owners, &owner);

	if (!b) {
		bpf_map_update_elem(&owners, &owner, &fresh, BPF_ANY);
		return 1;
	}
	return !over_budget(b, 1, now);
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
		barrier_var(n);                                                        \
		if (n > (room))                                                        \
			n = (room);                                                    \
		if (n && !bpf_skb_load_bytes(skb, p->offset, r->payload, n))           \
			r->len = n;                                                    \
		bpf_ringbuf_submit(r, wakeup());                                       \
	} while (0)

/* Sends the packet to user space. Returns 0 on success. */
static __noinline int submit(struct __sk_buff *skb, struct packet *p, struct direction *d)
{
	struct task_struct *task;
	__u32 len = p->len, tgid = 0, tid = 0;

	if (p->egress) {
		task = (struct task_struct *)bpf_get_current_task();
		tgid = BPF_CORE_READ(task, tgid);
		tid = BPF_CORE_READ(task, pid);
		if (tgid && BPF_CORE_READ(task, mm)) {
			p->flags |= CRAU_WIRE_OWNER;
			if (!observed(tgid))
				p->foreign = 1;
			else if (!bpf_map_lookup_elem(&processes, &tgid))
				announce(tgid, tid, p->now);
		}
	}
	check_ring_fill();
	if (len <= 512)
		FILL_AND_SUBMIT(512);
	else if (len <= 2048)
		FILL_AND_SUBMIT(2048);
	else
		FILL_AND_SUBMIT(CRAU_WIRE_BYTES);
	return 0;
}

/* Sends the packet unless the owner has had its share, and counts what became of the connection. */
static __always_inline void report(struct __sk_buff *skb, struct bpf_sock *sk, struct conn *c, struct direction *d,
				   struct packet *p)
{
	__u32 stat = CRAU_WIRE_RATE_LIMITED;

	p->now = bpf_ktime_get_boot_ns();
	p->cgroup = bpf_sk_cgroup_id(sk);
	p->uid = bpf_get_socket_uid(skb);
	if (owner_admitted(p->cgroup, p->uid, p->now)) {
		stat = CRAU_WIRE_RING_FULL;
		if (!submit(skb, p, d)) {
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
	c->done = 1;
}

/* Whether a byte can stand at that place of a ClientHello: a handshake record of SSL 3.0 or later. */
static __always_inline int hello_byte(__u32 at, __u8 b)
{
	switch (at) {
	case 0:
		return b == 0x16;
	case 1:
		return b == 3;
	case 2:
		return b <= 4;
	case 5:
		return b == 1;
	}
	return 1;
}

/* Takes up the bytes that a ClientHello is recognised by. Returns 1 when they are complete. */
static __always_inline int match_hello(struct packet *p, struct direction *d, const __u8 *head)
{
	__u32 had = d->prefix_len, at;

	if (had && p->seq != d->prefix_seq + had)
		had = d->prefix_len = 0;
	if (had >= CRAU_WIRE_PREFIX)
		return 0;
	for (__u32 i = 0; i < CRAU_WIRE_PREFIX; i++) {
		at = had + i;
		if (at >= CRAU_WIRE_PREFIX)
			return 1;
		if (i >= p->len) { /* all of the packet fits, and more is needed */
			if (!had)
				d->prefix_seq = p->seq;
			d->prefix_len = at;
			return 0;
		}
		if (!hello_byte(at, head[i])) {
			d->prefix_len = 0;
			return 0;
		}
		d->prefix[at] = head[i];
	}
	return 1;
}

/* Whether a connection starts with a request or response of HTTP/1 other than CONNECT. */
static __always_inline int is_http(const __u8 *h)
{
	__u32 word = (__u32)h[0] << 24 | h[1] << 16 | h[2] << 8 | h[3];

	return word == 0x47455420 /* GET */ || word == 0x504f5354 /* POST */ || word == 0x48454144 /* HEAD */ ||
	       word == 0x50555420 /* PUT */ || word == 0x48545450 /* HTTP */;
}

static __always_inline void neither(struct conn *c)
{
	c->done = 1;
	count_wire(CRAU_WIRE_OTHER);
}

/* Looks for the start of TLS or SSH in a connection of which nothing is known. */
static __always_inline void classify(struct __sk_buff *skb, struct bpf_sock *sk, struct conn *c, struct packet *p)
{
	struct direction *d = direction(c, p->egress), *other = direction(c, !p->egress);
	struct bpf_tcp_sock *tcp = bpf_tcp_sock(sk);
	__u8 head[CRAU_WIRE_PREFIX + 2] = {};
	__u32 rcv_nxt, snd_nxt, n = p->len;
	int received;
	int first = d->packets == 1;

	if (!tcp)
		return;
	rcv_nxt = tcp->rcv_nxt;
	snd_nxt = tcp->snd_nxt;
	received = tcp->bytes_received != 0;
	barrier_var(rcv_nxt); /* the verifier allows fixed offsets into the socket only */
	barrier_var(snd_nxt);
	p->peer_seq = p->egress ? rcv_nxt : snd_nxt;
	barrier_var(n);
	if (n >= CRAU_WIRE_PREFIX) {
		if (bpf_skb_load_bytes(skb, p->offset, head, CRAU_WIRE_PREFIX))
			return;
	} else {
		for (__u32 i = 0; i < CRAU_WIRE_PREFIX - 1; i++) {
			if (i < n && bpf_skb_load_bytes(skb, p->offset + i, &head[i], 1))
				return;
		}
	}
	if (match_hello(p, d, head)) {
		c->protocol = CRAU_WIRE_TLS;
		d->next = d->prefix_len ? d->prefix_seq : p->seq;
		other->next = p->peer_seq;
	} else if (first && n >= 4 && head[0] == 'S' && head[1] == 'S' && head[2] == 'H' && head[3] == '-') {
		c->protocol = CRAU_WIRE_SSH;
		d->prefix_len = 0;
	} else {
		if (!p->egress && p->seq != rcv_nxt && !received && d->early < CRAU_WIRE_EARLY) {
			d->early++;
			p->flags |= CRAU_WIRE_EARLY_DATA;
			report(skb, sk, c, d, p);
		} else if ((first && n >= 4 && is_http(head)) || d->packets >= CRAU_WIRE_PACKETS || d->bytes >= CRAU_WIRE_BYTES) {
			neither(c);
		}
		return;
	}
	p->flags |= c->protocol;
	d->packets = other->packets = 1;
	d->bytes = p->len;
	other->bytes = 0;
	report(skb, sk, c, d, p);
	d->prefix_len = 0;
}

/* Follows the records of TLS in a packet. Returns 1 at the first one that is encrypted. */
static __always_inline int follow_records(struct __sk_buff *skb, struct packet *p, struct direction *d)
{
	__u8 header[5];

	for (int i = 0; i < 8; i++) {
		__u32 at = d->next - p->seq;

		if (at >= p->len || p->len - at < sizeof(header))
			return 0;
		if (at > 65535 || bpf_skb_load_bytes(skb, p->offset + at, header, sizeof(header)))
			return 0;
		if (header[0] == 0x17)
			return 1;
		d->next += sizeof(header) + ((__u32)header[3] << 8 | header[4]);
	}
	return 0;
}

/* Sends a packet of a connection that is TLS or SSH. */
static __always_inline void follow(struct __sk_buff *skb, struct bpf_sock *sk, struct conn *c, struct packet *p)
{
	struct direction *d = direction(c, p->egress);

	if (c->protocol == CRAU_WIRE_TLS && follow_records(skb, p, d))
		d->finished = 1;
	if (d->packets >= CRAU_WIRE_PACKETS || d->bytes >= CRAU_WIRE_BYTES)
		d->finished = 1;
	if (p->tcp_flags & (TCP_FIN | TCP_RST)) {
		p->flags |= CRAU_WIRE_CLOSE;
		d->finished = 1;
	}
	if (d->finished)
		p->flags |= CRAU_WIRE_LAST;
	report(skb, sk, c, d, p);
	if (c->received.finished && c->transmitted.finished)
		c->done = 1;
}

/* Takes note that a direction of a connection ends of which nothing is known, and counts it once both have. */
static __always_inline void close_unknown(struct conn *c, struct packet *p)
{
	direction(c, p->egress)->finished = 1;
	if (p->tcp_flags & TCP_RST || direction(c, !p->egress)->finished)
		neither(c);
}

/* Examines a packet of a connection that is not done. */
static __noinline int examine(struct __sk_buff *skb, struct bpf_sock *sk, struct conn *c, __u32 egress)
{
	struct packet p = {.egress = egress & 1, .flags = egress ? CRAU_WIRE_EGRESS : 0};
	struct bpf_tcp_sock *tcp;
	struct direction *d;

	if (!sk || sk->state == TCP_LISTEN || parse(skb, &p))
		return 1;
	if (p.egress && (p.tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN) {
		if (!c)
			c = bpf_sk_storage_get(&conns, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
		if (c) { /* a socket can be connected again */
			__builtin_memset(c, 0, sizeof(*c));
			c->active = 1;
		}
		return 1;
	}
	if (!p.len) {
		if (c && c->sent && p.tcp_flags & (TCP_FIN | TCP_RST)) {
			d = direction(c, p.egress);
			p.flags |= CRAU_WIRE_CLOSE | CRAU_WIRE_LAST;
			report(skb, sk, c, d, &p);
			d->finished = 1;
			if (direction(c, !p.egress)->finished || p.tcp_flags & TCP_RST)
				c->done = 1;
		} else if (c && c->seen && !c->protocol && p.tcp_flags & (TCP_FIN | TCP_RST)) {
			close_unknown(c, &p);
		}
		return 1;
	}
	if (!c) {
		c = bpf_sk_storage_get(&conns, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
		if (!c) {
			count_wire(CRAU_WIRE_NO_STORAGE);
			return 1;
		}
	}
	if (!c->seen) {
		c->seen = 1;
		count_wire(CRAU_WIRE_SEEN);
		tcp = bpf_tcp_sock(sk);
		if (!tcp)
			return 1;
		if (!c->active && (tcp->bytes_received || tcp->bytes_acked > 1)) {
			c->done = 1;
			count_wire(CRAU_WIRE_OLD);
			return 1;
		}
		if (excluded(sk)) {
			c->done = 1;
			count_wire(CRAU_WIRE_EXCLUDED);
			return 1;
		}
	}
	if (c->active)
		p.flags |= CRAU_WIRE_CONNECTED;
	d = direction(c, p.egress);
	if (d->finished)
		return 1;
	if (d->packets < 255)
		d->packets++;
	if (p.len > 65536)
		p.len = 65536;
	d->bytes += p.len;
	if (c->protocol)
		follow(skb, sk, c, &p);
	else
		classify(skb, sk, c, &p);
	if (!c->protocol && !c->done && p.tcp_flags & (TCP_FIN | TCP_RST))
		close_unknown(c, &p);
	return 1;
}

static __always_inline int look(struct __sk_buff *skb, __u32 egress)
{
	struct bpf_sock *sk = skb->sk;
	struct conn *c;

	if (!sk)
		return 1;
	sk = bpf_sk_fullsock(sk);
	if (!sk || sk->protocol != IPPROTO_TCP)
		return 1;
	c = bpf_sk_storage_get(&conns, sk, 0, 0);
	if (c && c->done && sk->state != TCP_SYN_SENT)
		return 1;
	return examine(skb, sk, c, egress);
}

SEC("cgroup_skb/egress")
int wire_egress(struct __sk_buff *skb)
{
	return look(skb, 1);
}

SEC("cgroup_skb/ingress")
int wire_ingress(struct __sk_buff *skb)
{
	return look(skb, 0);
}
