/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Keys and values: read from the traced program and appended to a record. */
#ifndef CRAU_PAIR_H
#define CRAU_PAIR_H

#define PAGE 4096UL

/*
 * Reads a string into size bytes, size at most a page; returns its length with the NUL, or an error. The plain read
 * gives up at a page that is not resident; touching the string's one or two pages from a program that may sleep
 * brings them in, on every kernel with sleepable uprobes.
 */
static __always_inline long read_string(void *to, __u32 size, __u64 from)
{
	long n = bpf_probe_read_user_str(to, size, (void *)from);
	__u8 touched;

	if (n < 0 && can_sleep) {
		bpf_copy_from_user(&touched, 1, (void *)from);
		if ((from & (PAGE - 1)) + size > PAGE)
			bpf_copy_from_user(&touched, 1, (void *)((from | (PAGE - 1)) + 1));
		n = bpf_probe_read_user_str(to, size, (void *)from);
	}
	return n == 0 ? 1 : n; /* older kernels do not count the NUL of an empty string */
}

/* Whether the key at that place of the slot's record, which ends in a NUL, is to be kept. A global function for the
 * verifier's sake. */
__attribute__((noinline)) int kept(struct slot *s, __u32 at)
{
	struct crau_scope scope;
	__u32 i;

	if (!s || at > RECORD_ROOM - CRAU_MAX_KEY - 2)
		return 1;
	__builtin_memset(&s->scope, 0, sizeof(s->scope));
	for (i = 0; i < CRAU_MAX_KEY; i++) {
		__u8 c = s->record[at + i];

		if (!c)
			break;
		if (c == ':' && s->record[at + i + 1] == ':') {
			scope = s->scope; /* the verifier of 6.1 takes keys from the stack, not from a function's argument */
			return bpf_map_lookup_elem(&scopes, &scope) != 0;
		}
		if (i < CRAU_MAX_SCOPE)
			s->scope.text[i] = c;
	}
	return 1;
}

/*
 * Appends the i-th element to the slot's record as a pair, or counts that its key could not be read. Of strings that the
 * file has in read-only memory user space has a copy: it is told where they are, since reading them costs more than all
 * the rest of the program.
 */
static __always_inline int put_pair(struct slot *s, __u32 i)
{
	const struct crau_element *e;
	struct crau_record *head;
	__u32 at;
	struct crau_pair *pair;
	__u8 *data;
	__u32 key_len, value_len = 0;
	__u64 word = 0;
	__u8 type, pair_flags = 0, where = 0;
	long n;

	e = &s->elements[i];
	head = (struct crau_record *)s->record;
	at = s->len;
	if (at > RECORD_ROOM - PAIR_ROOM)
		return 0;
	if (e->size == CRAU_SIZE_STRING && !e->value)
		return 0; /* GnuTLS's way to say that there is no value */
	pair = (struct crau_pair *)(s->record + at);
	data = (__u8 *)(pair + 1);

	if (!scope_count && e->key - s->strings < s->room) {
		*(__u32 *)data = e->key - s->strings;
		key_len = sizeof(__u32);
		where = CRAU_KEY_AT;
	} else {
		n = read_string(data, CRAU_MAX_KEY + 2, e->key);
		if (n <= 0 || n > CRAU_MAX_KEY + 2) {
			head->flags |= CRAU_LOST;
			count(CRAU_STAT_PAIR_FAULT);
			return 0;
		}
		if (scope_count && !kept(s, at + sizeof(*pair)))
			return 0;
		key_len = n - 1;
		if (key_len > CRAU_MAX_KEY) {
			key_len = CRAU_MAX_KEY;
			pair_flags |= CRAU_KEY_CUT;
		}
	}

	if (e->size == CRAU_SIZE_WORD) {
		type = CRAU_WORD;
		word = e->value;
	} else if (e->size == CRAU_SIZE_STRING && e->value - s->strings < s->room) {
		type = CRAU_STRING;
		word = e->value - s->strings;
		where |= CRAU_VALUE_AT;
	} else if (e->size == CRAU_SIZE_STRING) {
		type = CRAU_STRING;
		n = read_string(data + key_len, CRAU_MAX_VALUE + 2, e->value);
		if (n <= 0 || n > CRAU_MAX_VALUE + 2) {
			pair_flags |= CRAU_FAULT;
		} else {
			value_len = n - 1;
			if (value_len > CRAU_MAX_VALUE) {
				value_len = CRAU_MAX_VALUE;
				pair_flags |= CRAU_CUT;
			}
		}
	} else {
		type = CRAU_BLOB;
		word = e->size;
		value_len = CRAU_MAX_VALUE;
		if (word <= CRAU_MAX_VALUE)
			value_len = word;
		else
			pair_flags |= CRAU_CUT;
		if (value_len && read_user(data + key_len, value_len, e->value)) {
			pair_flags |= CRAU_FAULT;
			value_len = 0;
		}
	}

	pair->word = word;
	pair->value_len = value_len;
	pair->key_len = key_len;
	pair->type = type;
	pair->flags = pair_flags | where;
	head->flags |= pair_flags;
	head->pairs++;
	s->len = (at + sizeof(*pair) + key_len + value_len + 7) & ~7U;
	return 0;
}

/* A global function, which the verifier checks once and not in every state that sixteen elements can leave behind. */
__attribute__((noinline)) int add_pair(struct slot *s, __u32 i)
{
	return s && i < CRAU_MAX_PAIRS ? put_pair(s, i) : 0;
}

#endif
