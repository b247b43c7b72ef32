/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Limits, counters and the layout of a packet's record, which the programs at sockets share with user space. */
#ifndef CRAU_WIRE_H
#define CRAU_WIRE_H

#include "audit.h"

enum crau_wire_limit {
	CRAU_WIRE_PACKETS = 32,		/* packets of one direction that are examined, both before and after a hello */
	CRAU_WIRE_BYTES = 16384,	/* bytes of one direction that are examined, both before and after a hello */
	CRAU_WIRE_EARLY = 4,		/* packets sent to user space before a connection's delayed first one */
	CRAU_WIRE_PREFIX = 6,		/* bytes by which a ClientHello is recognized */
	CRAU_WIRE_PORTS = 256,		/* excluded ports */
	CRAU_WIRE_CGROUPS = 1024,	/* excluded cgroups */
	CRAU_WIRE_LEVELS = 16,		/* levels of the cgroup hierarchy at which a cgroup can be excluded */
};

/* Flags of a packet's record. */
enum crau_wire_flag {
	CRAU_WIRE_EGRESS = 1,	/* the packet was sent, not received */
	CRAU_WIRE_TLS = 2,	/* a ClientHello was recognized in this packet */
	CRAU_WIRE_SSH = 4,	/* the packet starts with an SSH version string */
	CRAU_WIRE_EARLY_DATA = 8,	/* the packet arrived before the connection's first one */
	CRAU_WIRE_CLOSE = 16,	/* the packet's direction ends: FIN or RST */
	CRAU_WIRE_LAST = 32,	/* last packet sent of its direction: the rest is encrypted or over a limit */
	CRAU_WIRE_OWNER = 64,	/* the process and thread in head sent the packet */
	CRAU_WIRE_CONNECTED = 128,	/* the socket connected to its peer; otherwise it accepted the connection */
	CRAU_WIRE_RESET = 256,	/* both directions end: RST */
};

/*
 * Per-CPU counters of connections. Every connection whose first payload is seen increments CRAU_WIRE_SEEN, and exactly
 * one of the other counters up to CRAU_WIRE_RATE_LIMITED once it is classified or its end is seen.
 */
enum crau_wire_stat {
	CRAU_WIRE_SEEN,
	CRAU_WIRE_SENT,		/* recognized, and its first packet sent to user space */
	CRAU_WIRE_OTHER,	/* neither TLS nor SSH was recognized within the limits or before the end */
	CRAU_WIRE_OLD,		/* opened before the program was attached */
	CRAU_WIRE_EXCLUDED,	/* excluded by port or cgroup */
	CRAU_WIRE_RING_FULL,	/* recognized, but no room in the ring */
	CRAU_WIRE_RATE_LIMITED,	/* recognized, but the owner exceeded its share of the ring */
	CRAU_WIRE_NO_STORAGE,	/* packets for whose connection, not in CRAU_WIRE_SEEN, there was no memory */
	CRAU_WIRE_RECORDS_LOST,	/* connections in CRAU_WIRE_SENT that lost a later packet, and all after it */
	CRAU_WIRE_STATS,
};

/* The record of a packet, followed by len bytes of payload. */
struct crau_packet {
	struct crau_record head;	/* kind CRAU_PACKET; context: the socket's cookie */
	__u64 cgroup;			/* cgroup id of the socket, in the version 2 hierarchy */
	__u32 uid;			/* user id of the socket, in the initial user namespace */
	__u32 seq;			/* sequence number of the payload's first byte */
	__u32 start_seq;		/* with CRAU_WIRE_TLS: sequence number of the ClientHello's first byte */
	__u32 peer_seq;			/* with CRAU_WIRE_TLS or CRAU_WIRE_SSH: next sequence number the other way */
	__u16 len;			/* bytes of payload */
	__u16 flags;			/* enum crau_wire_flag */
	__u8 prefix[CRAU_WIRE_PREFIX];	/* with CRAU_WIRE_TLS: the ClientHello's first bytes, from earlier packets */
	__u8 prefix_len;		/* bytes in prefix */
	__u8 foreign;			/* 1, with CRAU_WIRE_OWNER: the process is not observed */
	__u8 payload[];
};

_Static_assert(sizeof(struct crau_packet) == sizeof(struct crau_record) + 40, "packet");

#endif
