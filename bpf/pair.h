/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Reads keys and values from the traced process and appends them to a record. */
#ifndef CRAU_PAIR_H
#define CRAU_PAIR_H

/*
 * Reads a string of the traced process into size bytes, at most a page. Returns its length with the NUL, or an error,
 * with s->page as after read_user.
 */
static __always_inline long read_string(struct slot *s, void *to, __u32 size, __u64 from)
{
	long n = bpf_probe_read_user_str(to, size, (void *)from);

	if (n < 0)
		wait_for(s, from, size);
	return n == 0 ? 1 : n; /* older kernels return 0 for an empty string */
}

/*
 * Reports whether data with the key at an offset of the slot's record is recorded: the key has no scope, or its scope
 * is in the map scopes. The key ends with a NUL. This is a global function so that the verifier checks it only once.
 */
__attribute__((noinline)) int scope_included(struct slot *s, __u32 offset)
{
	struct crau_scope scope;
	__u32 i;

	if (!s || offset > RECORD_ROOM - CRAU_MAX_KEY - 2)
		return 1;
	__builtin_memset(&s->scope, 0, sizeof(s->scope));
	for (i = 0; i < CRAU_MAX_KEY; i++) {
		__u8 c = s->record[offset + i];

		if (!c)
			break;
		if (c == ':' && s->record[offset + i + 1] == ':') {
			scope = s->scope; /* Linux 6.1's verifier only accepts map keys on the stack */
			return bpf_map_lookup_elem(&scopes, &scope) != 0;
		}
		if (i < CRAU_MAX_SCOPE)
			s->scope.text[i] = c;
	}
	return 1;
}

/*
 * Appends the i-th element to the slot's record as a pair. An element with an unreadable key is counted and left out.
 * If s->page is set afterwards, the run has to wait for a page and then try the element again. Strings of which user
 * space has a copy are sent as offsets, because reading strings takes longer than the rest of the program.
 */
static __always_inline int put_pair(struct slot *s, __u32 i)
{
	const struct crau_element *e;
	struct crau_record *head;
	__u32 start;
	struct crau_pair *pair;
	__u8 *data;
	__u32 key_len, value_len = 0;
	__u64 word = 0;
	__u8 type, pair_flags = 0, offset_flags = 0;
	long n;

	e = &s->elements[i];
	head = (struct crau_record *)s->record;
	start = s->len;
	if (start > RECORD_ROOM - PAIR_ROOM)
		return 0;
	if (e->size == CRAU_SIZE_STRING && !e->value)
		return 0; /* GnuTLS passes NULL for a missing value */
	pair = (struct crau_pair *)(s->record + start);
	data = (__u8 *)(pair + 1);

	if (!scope_count && e->key - s->strings < s->strings_len) {
		*(__u32 *)data = e->key - s->strings;
		key_len = sizeof(__u32);
		offset_flags = CRAU_KEY_OFFSET;
	} else {
		n = read_string(s, data, CRAU_MAX_KEY + 2, e->key);
		if (n <= 0 || n > CRAU_MAX_KEY + 2) {
			if (s->page)
				return 0;
			head->flags |= CRAU_LOST;
			count(CRAU_STAT_PAIR_FAULT);
			return 0;
		}
		if (scope_count && !scope_included(s, start + sizeof(*pair)))
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
	} else if (e->size == CRAU_SIZE_STRING && e->value - s->strings < s->strings_len) {
		type = CRAU_STRING;
		word = e->value - s->strings;
		offset_flags |= CRAU_VALUE_OFFSET;
	} else if (e->size == CRAU_SIZE_STRING) {
		type = CRAU_STRING;
		n = read_string(s, data + key_len, CRAU_MAX_VALUE + 2, e->value);
		if (n <= 0 || n > CRAU_MAX_VALUE + 2) {
			if (s->page)
				return 0;
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
		if (value_len && read_user(s, data + key_len, value_len, e->value)) {
			if (s->page)
				return 0;
			pair_flags |= CRAU_FAULT;
			value_len = 0;
		}
	}

	s->len = (start + sizeof(*pair) + key_len + value_len + 7) & ~7U;
	if (offset_flags & CRAU_KEY_OFFSET && !value_len) {
		value_len = *(__u32 *)data;
		key_len = 0;
		s->len = start + sizeof(*pair);
	}
	pair->word = word;
	pair->value_len = value_len;
	pair->key_len = key_len;
	pair->type = type;
	pair->flags = pair_flags | offset_flags;
	head->flags |= pair_flags;
	head->pairs++;
	return 0;
}

/*
 * Calls put_pair. This is a global function so that the verifier checks it only once, and not for each state that the
 * program can be in after up to 16 elements.
 */
__attribute__((noinline)) int add_pair(struct slot *s, __u32 i)
{
	return s && i < CRAU_MAX_PAIRS ? put_pair(s, i) : 0;
}

#endif
