//go:build ignore

// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * Programs at the sockets of all processes in the version 2 hierarchy. They find the connections that open with a TLS
 * ClientHello or an SSH version string, at their start or after a dialogue such as STARTTLS. From there on, they send
 * the packets to user space until the connection is encrypted. Of other connections, only a few packets that arrive
 * before the connection's first one are sent to user space.
 */
#include "kernel.h"
#include "socket.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include "wire.h"
#include "maps.h"
#include "process.h"
#include "conn.h"
#include "packet.h"
#include "hello.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

const struct crau_packet *const unused_packet __attribute__((unused));
const enum crau_wire_limit *const unused_wire_limit __attribute__((unused));
const enum crau_wire_flag *const unused_wire_flag __attribute__((unused));
const enum crau_wire_stat *const unused_wire_stat __attribute__((unused));

static __always_inline void neither(struct conn *c)
{
	c->done = 1;
	count_wire(CRAU_WIRE_OTHER);
}

/*
 * Moves d->next past the TLS records in a packet. If the packet contains the header of the record from which on its
 * direction sends nothing more in the clear, returns the length of the payload up to the end of that header; else
 * returns 0. Early data of the client is not such a record, because it precedes the server's answer, which can be a
 * HelloRetryRequest.
 */
static __always_inline __u32 follow_records(struct __sk_buff *skb, struct conn *c, struct packet *p,
					      struct direction *d)
{
	int ends = p->egress != c->client || direction(c, !p->egress)->finished;
	__u8 header[5];

	for (int i = 0; i < 8; i++) {
		__u32 at = d->next - p->seq;

		if (at >= p->len || p->len - at < sizeof(header))
			return 0;
		if (at > 65535 || bpf_skb_load_bytes(skb, p->offset + at, header, sizeof(header)))
			return 0;
		if (header[0] == 0x17 && ends)
			return at + sizeof(header);
		d->next += sizeof(header) + ((__u32)header[3] << 8 | header[4]);
	}
	return 0;
}

/* Looks for the start of TLS or SSH in a connection that is not classified yet. */
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
	barrier_var(rcv_nxt); /* the verifier only allows fixed offsets into the socket */
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
		c->client = p->egress;
		d->next = (d->prefix_len ? d->prefix_seq : p->seq) + 5 + ((__u32)d->prefix[3] << 8 | d->prefix[4]);
		other->next = p->peer_seq;
		follow_records(skb, c, p, d);
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

static __always_inline __u16 closing(const struct packet *p)
{
	return p->tcp_flags & TCP_RST ? CRAU_WIRE_CLOSE | CRAU_WIRE_RESET : CRAU_WIRE_CLOSE;
}

/* Sends a packet of a connection that is TLS or SSH. */
static __always_inline void follow(struct __sk_buff *skb, struct bpf_sock *sk, struct conn *c, struct packet *p)
{
	struct direction *d = direction(c, p->egress);
	__u32 clear = c->protocol == CRAU_WIRE_TLS ? follow_records(skb, c, p, d) : 0;

	if (clear) {
		d->finished = 1;
		p->len = clear; /* with the certificates, packets would take 32 times as much of the ring */
	}
	if (d->packets >= CRAU_WIRE_PACKETS || d->bytes >= CRAU_WIRE_BYTES)
		d->finished = 1;
	if (p->tcp_flags & (TCP_FIN | TCP_RST)) {
		p->flags |= closing(p);
		d->finished = 1;
	}
	if (d->finished)
		p->flags |= CRAU_WIRE_LAST;
	report(skb, sk, c, d, p);
	if (c->received.finished && c->transmitted.finished)
		c->done = 1;
}

/*
 * Records that a direction of an unclassified connection has ended. Counts the connection once both directions have
 * ended.
 */
static __always_inline void close_unknown(struct conn *c, struct packet *p)
{
	direction(c, p->egress)->finished = 1;
	if (p->tcp_flags & TCP_RST || direction(c, !p->egress)->finished)
		neither(c);
}

/* Examines a packet of a connection that is new, or whose state is not done. */
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
		if (c) { /* a reused socket has the state of its previous connection */
			__builtin_memset(c, 0, sizeof(*c));
			c->active = 1;
		}
		return 1;
	}
	if (!p.len) {
		if (c && c->sent && p.tcp_flags & (TCP_FIN | TCP_RST)) {
			d = direction(c, p.egress);
			p.flags |= closing(&p) | CRAU_WIRE_LAST;
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

/*
 * The start of both programs. For nearly every packet, nothing more is called, because its connection is marked as
 * done.
 */
static __always_inline int look(struct __sk_buff *skb, __u32 egress)
{
	struct bpf_sock *sk = skb->sk;
	struct conn *c;

	if (!sk)
		return 1;
	c = bpf_sk_storage_get(&conns, sk, 0, 0);
	if (c && c->done && sk->state != TCP_SYN_SENT)
		return 1;
	sk = bpf_sk_fullsock(sk);
	if (!sk || sk->protocol != IPPROTO_TCP)
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
