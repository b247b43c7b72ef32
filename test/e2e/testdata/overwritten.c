/* SPDX-License-Identifier: Apache-2.0 */
/* A library with a probe. Compiled with -DNEW, it has other code where the probe's site is. */
#include "crau.h"

unsigned long mix(unsigned long n);

#ifdef NEW
#define STEP(x) h = (h ^ (x)) * 0x123456789abcdefUL; h = (h + 0x1122334455667788UL) ^ (h >> 29);
unsigned long mix(unsigned long n)
{
	unsigned long h = n;

	STEP(1) STEP(2) STEP(3) STEP(4) STEP(5) STEP(6) STEP(7) STEP(8)
	CRAU_WORD_DATA(n, "app::new", h);
	return h;
}
#else
unsigned long mix(unsigned long n)
{
	unsigned long h = 0;

	CRAU_WORD_DATA(n, "app::old", n);
	for (unsigned long i = 0; i < n; i++)
		h += i;
	return h;
}
#endif
