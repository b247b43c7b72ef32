// SPDX-License-Identifier: Apache-2.0

// Inline functions and templates that both files of a program have: the linker keeps one of each, and its note.

#include "crau.h"

template <int N> struct S {
	__attribute__((noinline)) void probe() { CRAU_WORD_DATA(this, "n", N); }
};

inline __attribute__((noinline)) void probe(const void *ctx) { CRAU_NEW_CONTEXT(ctx, nullptr); }

void other();

#ifdef OTHER
void other()
#else
int main()
#endif
{
	S<1> one;
	S<2> two;
	one.probe();
	two.probe();
	probe(&one);
#ifndef OTHER
	other();
#endif
}
