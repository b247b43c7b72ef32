/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A library whose functions report their arguments. Anybody who maps the library can make its probes report anything.
 * With -DROOM=BYTES it contains that many bytes of read-only strings.
 */

#include "crau.h"

#define EXPORT __attribute__((noinline, visibility("default")))

EXPORT void report_new(unsigned long ctx, unsigned long parent) { CRAU_NEW_CONTEXT(ctx, parent); }
EXPORT void report_string(unsigned long ctx, const char *key, const char *value) { CRAU_STRING_DATA(ctx, key, value); }
EXPORT void report_word(unsigned long ctx, const char *key, unsigned long value) { CRAU_WORD_DATA(ctx, key, value); }

#ifdef ROOM
EXPORT const char room[ROOM] = "pk::verify\0ML-DSA-87";
#endif
