// SPDX-License-Identifier: Apache-2.0

// An inline function and a template that two files of a program have in common. The linker keeps one copy of each, with
// one note.

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
