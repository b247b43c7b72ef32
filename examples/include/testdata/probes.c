/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Every probe, with all kinds of arguments. This file is compiled as C and as C++, as a program and (with -shared) as a
 * library.
 */

#include "crau.h"

static struct crau_data global[2];

/*
 * A leaf function with variables in the red zone around a site. A call that a tracer makes at the site must not
 * overwrite them.
 */
__attribute__((noinline)) unsigned long leaf(unsigned long seed)
{
	volatile unsigned long v[8];
	unsigned long sum = 0, i;

	for (i = 0; i < 8; i++)
		v[i] = seed + i;
	CRAU_WORD_DATA(v, "leaf", seed);
	for (i = 0; i < 8; i++)
		sum += v[i];
	return sum;
}

static inline void called(const void *ctx, const char *key, int value) { CRAU_WORD_DATA(ctx, key, value); }

/* Fires probes with arguments that are passed on the stack, and whose values the compiler does not know. */
__attribute__((noinline)) void spilled(unsigned long a, unsigned long b, unsigned long c, unsigned long d,
				       unsigned long e, unsigned long f, unsigned long g)
{
	CRAU_NEW_CONTEXT(g, f);
	CRAU_WORD_DATA(g, "sum", a + b + c + d + e + f + g);
}

int main(int argc, char **argv)
{
	static const unsigned char blob[] = {0, 1, 2, 255};
	struct crau_data local[3] = {CRAU_NAME("test::local"), CRAU_WORD("test::argc", argc)};

	(void)argv;
	local[2] = CRAU_BLOB("test::blob", blob, sizeof blob);
	CRAU_NEW_CONTEXT(&global, CRAU_NO_PARENT);
	CRAU_STRING_DATA(&global, "name", "test::global");
	CRAU_NEW_CONTEXT(0x123456789abcdef, &global);
	CRAU_WORD_DATA(0x123456789abcdef, "test::negative", -1);
	CRAU_BLOB_DATA(&global, "test::blob", blob, 0);
	CRAU_BLOB_DATA(&global, "test::blob", blob + 1, sizeof blob - 1);
	CRAU_NEW_CONTEXT_WITH_DATA(local, &global, local, 3);
	global[0] = CRAU_STRING("test::string", "");
	global[1] = CRAU_WORD("test::word", ~0UL);
	CRAU_DATA(local, global, 2);
	called(local, "test::called", argc);
	spilled(1, 2, 3, 4, 5, 6, 7);
	if (leaf((unsigned long)argc) != 36)
		return 1;

	crau_data(CRAU_WORD("nowhere", 1));
	crau_push(CRAU_NAME("outer"));
	crau_push(CRAU_NAME("inner"), CRAU_WORD("w", 1));
	crau_data(CRAU_WORD("w", 2), CRAU_STRING("s", "t"));
	crau_pop();
	crau_data(CRAU_BLOB("b", blob, 2));
	crau_push(CRAU_NAME("second"));
	CRAU_NEW_CONTEXT(&global, crau_current());
	crau_pop();
	crau_pop();
	return 0;
}
