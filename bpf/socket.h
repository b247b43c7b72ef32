/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The types of the context of programs at sockets, with the layout of linux/bpf.h. The fields unused1, unused2 and so
 * on stand for fields that the programs do not use.
 */
#ifndef CRAU_SOCKET_H
#define CRAU_SOCKET_H

#define IPPROTO_TCP 6
#define TCP_SYN_SENT 2
#define TCP_LISTEN 10
#define BPF_SK_STORAGE_GET_F_CREATE 1

struct bpf_sock {
	__u32 unused1[3];
	__u32 protocol;
	__u32 unused2[7];
	__u32 src_port; /* host byte order */
	__be16 dst_port;
	__u16 unused3;
	__u32 unused4[5];
	__u32 state;
	__s32 rx_queue_mapping;
};

struct bpf_tcp_sock {
	__u32 unused1[4];
	__u32 rcv_nxt;
	__u32 snd_nxt;
	__u32 unused2[14];
	__u64 bytes_received;
	__u64 bytes_acked;
};

struct __sk_buff {
	__u32 len;
	__u32 unused1[3];
	__u32 protocol;
	__u32 unused2[37];
	struct bpf_sock *sk;
};

_Static_assert(__builtin_offsetof(struct bpf_sock, src_port) == 44, "src_port");
_Static_assert(__builtin_offsetof(struct bpf_sock, state) == 72, "state");
_Static_assert(__builtin_offsetof(struct bpf_tcp_sock, bytes_received) == 80, "bytes_received");
_Static_assert(__builtin_offsetof(struct __sk_buff, sk) == 168, "sk");

#endif
