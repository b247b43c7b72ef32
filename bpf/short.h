/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Records hits that add one word or string to a context. These are most hits of libraries that do not use arrays. */
#ifndef CRAU_SHORT_H
#define CRAU_SHORT_H

/* Evaluates an argument of a site whose hits can be short records. */
static __always_inline __u64 simple_argument(void *ctx, const struct crau_operand *op)
{
	return op->kind == CRAU_CONST ? op->value : saved_register(ctx, op->base);
}

/*
 * Records a hit as a crau_short. Returns CRAU_STAT_SENT, or the reason why the hit was not recorded. Returns CRAU_STATS
 * if the hit needs a crau_record, because user space has no copy of the key or the string, or because lost does not
 * fit.
 */
static __always_inline enum crau_stat record_short(void *ctx, const struct crau_spec *spec, __u64 lost, __u64 id,
						   __u64 now)
{
	__u64 strings = spec->strings + (saved_register(ctx, IP) - spec->address);
	__u64 key = simple_argument(ctx, &spec->args[1]) - strings;
	__u64 word = simple_argument(ctx, &spec->args[2]);
	__u64 context = simple_argument(ctx, &spec->args[0]);
	struct crau_short *s;
	__u16 type = CRAU_WORD;

	if (key >= spec->strings_len || lost >> 32)
		return CRAU_STATS;
	if (spec->kind == CRAU_STRING_DATA) {
		type = CRAU_STRING;
		word -= strings;
		if (word >= spec->strings_len)
			return CRAU_STATS;
	}
	s = bpf_ringbuf_reserve(&ring, sizeof(*s), 0);
	if (!s)
		return CRAU_STAT_RING_FULL;
	s->time = now;
	s->context = context;
	s->word = word;
	s->tgid = id >> 32;
	s->tid = id;
	s->file = spec->file;
	s->kind = CRAU_SHORT;
	s->flags = 0;
	s->type = type;
	s->key = key;
	s->lost = lost;
	bpf_ringbuf_submit(s, wakeup());
	return CRAU_STAT_SENT;
}

#endif
