/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The state of a connection, which is stored with its socket, and the maps and counters of the programs at sockets. */
#ifndef CRAU_CONN_H
#define CRAU_CONN_H

/* One direction of a connection. */
struct direction {
	__u32 bytes;		/* bytes of payload examined so far */
	__u32 next;		/* TLS: sequence number of the next record's header */
	__u32 prefix_seq;	/* sequence number of prefix[0] */
	__u8 packets;		/* packets with payload examined so far */
	__u8 early;		/* packets sent to user space that arrived before the connection's first one */
	__u8 finished;		/* 1: no further packets of this direction are examined */
	__u8 prefix_len;	/* bytes in prefix */
	__u8 prefix[8];		/* bytes of short packets that may be the start of a ClientHello */
};

struct conn {
	__u8 done;	/* 1: the connection's packets are no longer examined */
	__u8 protocol;	/* CRAU_WIRE_TLS or CRAU_WIRE_SSH; 0: not known yet */
	__u8 sent;	/* 1: a packet of the connection was sent to user space after its protocol was known */
	__u8 seen;	/* 1: data was sent or received */
	__u8 active;	/* 1: the socket connected to its peer; 0: it accepted the peer's connection */
	__u8 client;	/* TLS: 1: this host sent the ClientHello; 0: the peer did */
	__u8 pad[2];
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

/* Ports, in host byte order. A connection whose local or remote port is one of them is not examined. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, CRAU_WIRE_PORTS);
	__type(key, __u16);
	__type(value, __u8);
} excluded_ports SEC(".maps");

/* Ids of cgroups. The connections of these cgroups and of their descendants are not examined. */
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

static __always_inline void count_wire(__u32 stat)
{
	__u64 *n = bpf_map_lookup_elem(&wire_stats, &stat);

	if (n)
		__sync_fetch_and_add(n, 1);
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

#endif
