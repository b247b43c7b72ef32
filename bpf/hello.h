/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Recognizes protocols by their first bytes. */
#ifndef CRAU_HELLO_H
#define CRAU_HELLO_H

/* Reports whether b can be the byte at position at of a ClientHello in a handshake record of SSL 3.0 or later. */
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

/*
 * Adds the packet's first bytes to d->prefix as long as they match a ClientHello. Returns 1 once the prefix has the
 * CRAU_WIRE_PREFIX bytes by which a ClientHello is recognized.
 */
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
		if (i >= p->len) { /* the whole packet matches, but is too short */
			if (!had)
				d->prefix_seq = p->seq;
			d->prefix_len = at;
			return 0;
		}
		if (!hello_byte(at, head[i])) {
			d->prefix_len = 0;
			return 0;
		}
		barrier_var(at);
		d->prefix[at & 7] = head[i]; /* the mask is for Linux 6.1, whose verifier loses the bound of at */
	}
	return 1;
}

/*
 * Reports whether h is the start of a response or a common request of HTTP/1. After other requests, such as CONNECT,
 * TLS may follow.
 */
static __always_inline int is_http(const __u8 *h)
{
	__u32 word = (__u32)h[0] << 24 | h[1] << 16 | h[2] << 8 | h[3];

	return word == 0x47455420 /* GET */ || word == 0x504f5354 /* POST */ || word == 0x48454144 /* HEAD */ ||
	       word == 0x50555420 /* PUT */ || word == 0x48545450 /* HTTP */;
}

#endif
