/* SPDX-License-Identifier: Apache-2.0 */

#ifndef SAMPLE_H
#define SAMPLE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "crau.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))
#define MAX_OFFERS 8

enum style { EXPLICIT, SELF, LINK };

struct options {
	enum style style;
	bool client, server, tls12, old_names;
	unsigned int group;
	unsigned int offers[MAX_OFFERS];
	unsigned int n_offers;
	unsigned long count, depth; /* 0: the mode's default */
};

/* Numbers of hits of each probe, per thread. */
enum probe { NEW_CONTEXT, WORD_DATA, STRING_DATA, BLOB_DATA, DATA, NEW_CONTEXT_WITH_DATA, PROBES };
extern _Thread_local unsigned long fired[PROBES];

/*
 * These functions fire a probe and count it. They are inline, so that the program has many sites with all kinds of
 * operands.
 */
static inline void new_context(unsigned long ctx, unsigned long parent)
{
	fired[NEW_CONTEXT]++;
	CRAU_NEW_CONTEXT(ctx, parent);
}

static inline void word_data(unsigned long ctx, const char *key, unsigned long value)
{
	fired[WORD_DATA]++;
	CRAU_WORD_DATA(ctx, key, value);
}

static inline void string_data(unsigned long ctx, const char *key, const char *value)
{
	fired[STRING_DATA]++;
	CRAU_STRING_DATA(ctx, key, value);
}

static inline void blob_data(unsigned long ctx, const char *key, const void *value, unsigned long size)
{
	fired[BLOB_DATA]++;
	CRAU_BLOB_DATA(ctx, key, value, size);
}

static inline void data(unsigned long ctx, const struct crau_data *array, unsigned long n)
{
	fired[DATA]++;
	CRAU_DATA(ctx, array, n);
}

static inline void new_context_with_data(unsigned long ctx, unsigned long parent, const struct crau_data *array,
					 unsigned long n)
{
	fired[NEW_CONTEXT_WITH_DATA]++;
	CRAU_NEW_CONTEXT_WITH_DATA(ctx, parent, array, n);
}

extern volatile atomic_bool stopped; /* set by the handler of SIGINT and SIGTERM */

/* Defined in tls.c. */
bool group_is_known_classical(unsigned int group);
void handshake(const struct options *o);

/* Defined in modes.c. */
struct mode {
	const char *name;
	int (*run)(const struct options *o); /* returns an exit code */
};
extern const struct mode modes[];

#endif
