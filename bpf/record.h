/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Assembles the record of a hit in the slot of its run. Whenever the run has to wait for a page, the assembly stops and
 * is continued afterwards.
 */
#ifndef CRAU_RECORD_H
#define CRAU_RECORD_H

static __always_inline int creates_context(__u8 kind)
{
	return kind == CRAU_NEW_CONTEXT || kind == CRAU_NEW_CONTEXT_WITH_DATA;
}

/* Starts a record in the slot, and evaluates the arguments of the hit without reading memory. */
static __always_inline void prepare(void *ctx, const struct crau_spec *spec, struct slot *s, __u32 run, __u64 lost,
				    __u64 now)
{
	struct crau_record *head = (struct crau_record *)s->record;

	head->time = now;
	head->lost = lost;
	head->parent = 0;
	head->file = spec->file;
	head->kind = spec->kind;
	head->flags = 0;
	head->pairs = 0;
	s->len = sizeof(*head);
	s->run = run;
	s->waits = 0;
	s->page = 0;
	s->waited = 0;
	s->next = 0;
	s->length = 0;
	s->known = 0;
	s->strings_len = spec->strings_len;
	s->strings = spec->strings + (saved_register(ctx, IP) - spec->address);
	#pragma unroll
	for (int i = 0; i < CRAU_MAX_ARGS; i++)
		take_argument(ctx, s, &spec->args[i], i);
}

/*
 * Reads the arguments of a hit that are in memory, and sets the slot's elements. Returns CRAU_STAT_SENT, or the reason
 * why the hit cannot be recorded. If s->page is set afterwards, the run has to wait for a page, and the result is
 * meaningless.
 */
static __always_inline enum crau_stat find_elements(struct slot *s, struct crau_record *head)
{
	__u64 array = 0, length = 0;
	__u32 bytes;

	#pragma unroll
	for (int i = 0; i < CRAU_MAX_ARGS; i++) {
		if (read_argument(s, i))
			return CRAU_STAT_FAULT;
	}
	head->context = s->arg[0];

	switch (head->kind) {
	case CRAU_NEW_CONTEXT:
		head->parent = s->arg[1];
		break;
	case CRAU_WORD_DATA:
	case CRAU_STRING_DATA:
	case CRAU_BLOB_DATA:
		s->elements[0].key = s->arg[1];
		s->elements[0].value = s->arg[2];
		s->elements[0].size = head->kind == CRAU_WORD_DATA   ? CRAU_SIZE_WORD :
				      head->kind == CRAU_STRING_DATA ? CRAU_SIZE_STRING :
								       s->arg[3];
		s->length = 1;
		return CRAU_STAT_SENT;
	case CRAU_DATA:
		array = s->arg[1];
		length = s->arg[2];
		break;
	case CRAU_NEW_CONTEXT_WITH_DATA:
		head->parent = s->arg[1];
		array = s->arg[2];
		length = s->arg[3];
		break;
	case CRAU_SESSION_ENTER:
	case CRAU_SESSION_LEAVE:
		break;
	default:
		return CRAU_STAT_MALFORMED;
	}

	if (length > CRAU_MAX_PAIRS) {
		length = CRAU_MAX_PAIRS;
		head->flags |= CRAU_CUT | CRAU_LOST;
	}
	s->length = length;
	bytes = length * sizeof(s->elements[0]);
	barrier_var(bytes); /* Linux 6.1's verifier only tracks the register that is compared */
	if (length && (bytes > sizeof(s->elements) || read_user(s, s->elements, bytes, array))) {
		if (s->page || head->kind == CRAU_DATA)
			return CRAU_STAT_FAULT;
		s->length = 0;
		head->flags |= CRAU_LOST;
	}
	return CRAU_STAT_SENT;
}

/*
 * Assembles the record of a hit in the slot. Returns CRAU_STAT_SENT, or the reason why the hit cannot be recorded. If
 * s->page is set afterwards, the run has to wait for a page, the result is meaningless, and the next call continues the
 * assembly.
 */
static __always_inline enum crau_stat fill(struct slot *s, struct crau_record *head)
{
	if (!s->known) {
		enum crau_stat outcome = find_elements(s, head);

		if (outcome != CRAU_STAT_SENT)
			return outcome;
		s->known = 1;
	}
	for (__u32 i = 0; i < CRAU_MAX_PAIRS; i++) {
		if (i >= s->length)
			break;
		if (i < s->next)
			continue;
		add_pair(s, i);
		if (s->page) {
			s->next = i;
			return CRAU_STAT_FAULT;
		}
	}
	if (!head->pairs && s->length && !creates_context(head->kind)) {
		if (head->flags & CRAU_LOST)
			return CRAU_STAT_FAULT;
		if (scope_count)
			return CRAU_STAT_HIDDEN;
	}
	return CRAU_STAT_SENT;
}

/*
 * Assembles the record of a hit and writes it to the ring. Returns CRAU_STAT_SENT, or the reason why the hit was not
 * recorded. If s->page is set afterwards, the run has to wait for a page and then call again, and the result is
 * meaningless.
 */
static __always_inline enum crau_stat record(struct slot *s)
{
	struct crau_record *head = (struct crau_record *)s->record;
	enum crau_stat outcome = fill(s, head);
	__u64 id = bpf_get_current_pid_tgid();
	__u32 len = s->len;

	if (outcome != CRAU_STAT_SENT)
		return outcome;
	head->tgid = id >> 32;
	head->tid = id;
	if (len > RECORD_ROOM)
		len = RECORD_ROOM;
	if (bpf_ringbuf_output(&ring, s->record, len, wakeup()))
		return CRAU_STAT_RING_FULL;
	if (head->flags & (CRAU_CUT | CRAU_KEY_CUT))
		count(CRAU_STAT_TRUNCATED);
	return CRAU_STAT_SENT;
}

#endif
