/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The context stack at its limits, used from two files and two threads. The second file is this one, compiled with
 * -DOTHER.
 */

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "crau.h"

#define CHECK(x)                                                            \
	do {                                                                \
		if (!(x)) {                                                 \
			fprintf(stderr, "line %d: %s\n", __LINE__, #x);     \
			exit(1);                                            \
		}                                                           \
	} while (0)

void push_elsewhere(void);
unsigned long current_elsewhere(void);

#ifdef OTHER

void push_elsewhere(void) { crau_push(CRAU_NAME("elsewhere")); }
unsigned long current_elsewhere(void) { return crau_current(); }

#else

static void *thread(void *other)
{
	CHECK(crau_current() == CRAU_NO_PARENT);
	crau_push(CRAU_NAME("thread"));
	CHECK(crau_current() != *(unsigned long *)other);
	return NULL;
}

int main(void)
{
	unsigned long seen[CRAU_STACK_DEPTH + 1], first, again;
	pthread_t t;
	long i, k;

	crau_pop();
	CHECK(crau_current() == CRAU_NO_PARENT);

	for (i = 0; i <= CRAU_STACK_DEPTH; i++) {
		crau_push(CRAU_NAME("level"), CRAU_WORD("i", i));
		seen[i] = crau_current();
		CHECK(seen[i] != CRAU_NO_PARENT && seen[i] != 0);
		for (k = 0; k < i && i < CRAU_STACK_DEPTH; k++)
			CHECK(seen[i] != seen[k]);
	}
	CHECK(seen[CRAU_STACK_DEPTH] == seen[CRAU_STACK_DEPTH - 1]);
	for (i = 0; i < 1000; i++)
		crau_push(CRAU_NAME("too deep"));
	crau_data(CRAU_WORD("too deep", 1));
	for (i = 0; i < 1001; i++)
		crau_pop();
	for (i = CRAU_STACK_DEPTH - 1; i >= 0; i--) {
		CHECK(crau_current() == seen[i]);
		crau_pop();
	}
	CHECK(crau_current() == CRAU_NO_PARENT);
	for (i = 0; i < 1000; i++)
		crau_pop();

	push_elsewhere();
	first = crau_current();
	CHECK(first == current_elsewhere() && first != seen[0]);
	CHECK(!pthread_create(&t, NULL, thread, &first) && !pthread_join(t, NULL));
	for (i = 0; i < 70000; i++) {
		crau_push(CRAU_NAME("again"));
		again = crau_current();
		CHECK(again != first && again != CRAU_NO_PARENT);
		crau_pop();
	}
	CHECK(crau_current() == first);
	return 0;
}

#endif
