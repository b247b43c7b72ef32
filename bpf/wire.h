/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Shared by the programs at sockets and user space: limits, counters and the layout of a packet's record. */
#ifndef CRAU_WIRE_H
#define CRAU_WIRE_H

#include "audit.h"

enum crau_wire_limit {
	CRAU_WIRE_PACKETS = 32,		/* packets of one direction that are examined, before and after a hello */
	CRAU_WIRE_BYTES = 16384,	/* bytes of payload that are examined, before and after a hello */
	CRAU_WIRE_EARLY = 4,		/* packets sent to user space that arrive before a connection's first one */
	CRAU_WIRE_PREFIX = 6,		/* bytes by which a ClientHello is recognized */
	CRAU_WIRE_PORTS = 256,		/* excluded ports */
	CRAU_WIRE_CGROUPS = 1024,	/* excluded cgroups */
	CRAU_WIRE_LEVELS = 16,		/* levels of the hierarchy at which a cgroup can be excluded */
};

/* Flags of a packet's record. */
enum crau_wire_flag {
	CRAU_WIRE_EGRESS = 1,	/* the packet was sent, not received */
	CRAU_WIRE_TLS = 2,	/* a ClientHello starts here */
	CRAU_WIRE_SSH = 4,	/* an SSH version string starts here */
	CRAU_WIRE_EARLY_DATA = 8,	/* the packet arrived before the connection's first one */
	CRAU_WIRE_CLOSE = 16,	/* the connection ends: FIN or RST */
	CRAU_WIRE_LAST = 32,	/* no more of this direction is sent: it is encrypted, or a limit is reached */
	CRAU_WIRE_OWNER = 64,	/* the record's process sent the packet */
	CRAU_WIRE_CONNECTED = 128,	/* the socket's process connected; otherwise it accepted */
	CRAU_WIRE_RESET = 256,	/* both directions end: RST */
};

/*
 * Per-CPU counters of connections. Every connection whose first payload is seen increments CRAU_WIRE_SEEN, and later
 * exactly one of the counters up to CRAU_WIRE_RATE_LIMITED, unless it ends before it is classified.
 */
enum crau_wire_stat {
	CRAU_WIRE_SEEN,
	CRAU_WIRE_SENT,		/* recognized, and its first record sent */
	CRAU_WIRE_OTHER,	/* neither TLS nor SSH, up to the limits or to the connection's end */
	CRAU_WIRE_OLD,		/* opened before the program was attached */
	CRAU_WIRE_EXCLUDED,	/* excluded by port or cgroup */
	CRAU_WIRE_RING_FULL,	/* recognized, but no room in the ring */
	CRAU_WIRE_RATE_LIMITED,	/* recognized, but the owner exceeded its share of the ring */
	CRAU_WIRE_NO_STORAGE,	/* no memory for the socket: not in CRAU_WIRE_SEEN, and counted per packet */
	CRAU_WIRE_RECORDS_LOST,	/* records of connections in CRAU_WIRE_SENT for which the ring was full */
	CRAU_WIRE_STATS,
};

/* A packet of a connection that is TLS or SSH; len bytes of payload follow. */
struct crau_packet {
	struct crau_record head;	/* kind CRAU_PACKET; context: the socket's cookie */
	__u64 cgroup;			/* of the socket, in the version 2 hierarchy */
	__u32 uid;			/* of the socket, in the initial user namespace */
	__u32 seq;			/* sequence number of the payload's first byte */
	__u32 start_seq;		/* with CRAU_WIRE_TLS: where the hello starts */
	__u32 peer_seq;			/* with CRAU_WIRE_TLS or CRAU_WIRE_SSH: the other direction's next sequence number */
	__u16 len;
	__u16 flags;			/* enum crau_wire_flag */
	__u8 prefix[CRAU_WIRE_PREFIX];
	__u8 prefix_len;		/* bytes of the hello that were in earlier packets */
	__u8 foreign;			/* with CRAU_WIRE_OWNER: the process is not observed */
	__u8 payload[];
};

_Static_assert(sizeof(struct crau_packet) == sizeof(struct crau_record) + 40, "packet");

#endif
