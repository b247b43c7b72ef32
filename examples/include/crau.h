/* SPDX-License-Identifier: Apache-2.0 */

/*
 * crau.h - the crypto_auditing USDT probes for C (C99, gnu11) and C++ (C++11) programs.
 *
 * The header needs GCC or Clang and nothing else. A probe is a nop and an ELF note that describes where the nop and the
 * probe's arguments are. While no tracer is attached, a probe takes about a nanosecond. The supported platforms are
 * Linux on x86-64 (64 bits) and arm64. On other platforms, and if CRAU_DISABLE is defined, every macro still checks the
 * types of its arguments, but does not evaluate them and generates no code.
 *
 * Macros that can be defined before the header is included:
 *   CRAU_DISABLE      no probes
 *   CRAU_STACK_DEPTH  number of contexts on a thread's stack, see crau_push(): a decimal number; default 16
 *   CRAU_NOP1         x86-64: sites of 1 byte instead of 29; on Linux 6.18 and later, hits take more time at these
 *
 * The header has two interfaces:
 *
 * 1. One macro per probe, for programs that choose their own context values (any integer or pointer):
 *
 *      CRAU_NEW_CONTEXT(session, CRAU_NO_PARENT);
 *      CRAU_STRING_DATA(session, "name", "tls::handshake");
 *      CRAU_WORD_DATA(session, "tls::protocol_version", 0x0304);
 *
 * 2. A stack of contexts per thread, for all other programs. A push opens a context as a child of the current one:
 *
 *      crau_push(CRAU_NAME("tls::handshake"), CRAU_STRING("tls::role", "client"));
 *      crau_data(CRAU_WORD("tls::protocol_version", 0x0304), CRAU_WORD("tls::ciphersuite", 0x1302));
 *      crau_pop();
 *
 * Arguments are evaluated once. Keys and strings end with a NUL byte. Memory that an argument points to is only read
 * while the probe is hit, so it may be freed or changed afterwards.
 */
#ifndef CRAU_H
#define CRAU_H

/* An element of an array that the probes data and new_context_with_data report. */
struct crau_data {
	const char *key;
	const void *value;
	unsigned long size; /* bytes at value, or CRAU_SIZE_WORD or CRAU_SIZE_STRING */
};

#define CRAU_SIZE_WORD (-2UL)	/* value is the word itself */
#define CRAU_SIZE_STRING (-1UL) /* value is a C string */

/* Tracers read at most this many elements of an array. */
#define CRAU_MAX_ELEMENTS 16

/* The parent of a root context. */
#define CRAU_NO_PARENT (-1UL)

/* Expressions that make an element. */
#define CRAU_WORD(key, v) crau_element_((key), (const void *)(unsigned long)(v), CRAU_SIZE_WORD)
#define CRAU_STRING(key, v) crau_element_((key), (const void *)crau_string_(v), CRAU_SIZE_STRING)
#define CRAU_BLOB(key, p, n) crau_element_((key), (p), (n))
#define CRAU_NAME(v) CRAU_STRING("name", (v))

/* One macro per probe. Of n elements, tracers read the first CRAU_MAX_ELEMENTS. */
#define CRAU_NEW_CONTEXT(ctx, parent) CRAU_PROBE2_(new_context, (ctx), (parent))
#define CRAU_WORD_DATA(ctx, key, value) CRAU_PROBE3_(word_data, (ctx), crau_string_(key), (value))
#define CRAU_STRING_DATA(ctx, key, value) CRAU_PROBE3_(string_data, (ctx), crau_string_(key), crau_string_(value))
#define CRAU_BLOB_DATA(ctx, key, ptr, size) CRAU_PROBE4_(blob_data, (ctx), crau_string_(key), (ptr), (size))
#define CRAU_DATA(ctx, array, n) CRAU_PROBE3_(data, (ctx), crau_array_(array), (n))
#define CRAU_NEW_CONTEXT_WITH_DATA(ctx, parent, array, n) \
	CRAU_PROBE4_(new_context_with_data, (ctx), (parent), crau_array_(array), (n))

/*
 * The stack of contexts. crau_push() opens a context as a child of the current context, and makes it the current one.
 * crau_data() adds data to the current context. Both take 1 to CRAU_MAX_ELEMENTS elements; more do not compile.
 *
 * A push beyond CRAU_STACK_DEPTH opens no context, but must be popped like any other. Until then no probes fire,
 * because their data would be added to the wrong context. crau_data() and crau_pop() do nothing if the stack is empty.
 * All files of an executable or of a shared library share one stack per thread.
 */
#define crau_push(...) CRAU_ELEMENTS_(crau_push_, __VA_ARGS__)
#define crau_data(...) CRAU_ELEMENTS_(crau_data_, __VA_ARGS__)
/*
 * crau_pop() pops the current context. crau_current() is the value of the current context, or CRAU_NO_PARENT if the
 * stack is empty; it can be the parent argument of the macros above.
 */

/* --- Implementation ---------------------------------------------------------------------------------------------------- */

#if !defined __linux__ || !defined __LP64__ || !(defined __x86_64__ || defined __aarch64__)
#undef CRAU_DISABLE
#define CRAU_DISABLE 1
#endif

#ifndef CRAU_STACK_DEPTH
#define CRAU_STACK_DEPTH 16
#endif

static inline struct crau_data crau_element_(const char *key, const void *value, unsigned long size)
{
	struct crau_data e = {key, value, size};
	return e;
}

/* These functions let the compiler check argument types, which the casts in the probe macros would prevent. */
static inline unsigned long crau_string_(const char *s) { return (unsigned long)s; }
static inline unsigned long crau_array_(const struct crau_data *a) { return (unsigned long)a; }

#define CRAU_ELEMENTS_(function, ...)                                                                       \
	do {                                                                                                \
		const struct crau_data crau_e_[] = {__VA_ARGS__};                                           \
		typedef char crau_at_most_16_elements[sizeof crau_e_ / sizeof *crau_e_ <= CRAU_MAX_ELEMENTS \
							      ? 1                                           \
							      : -1] __attribute__((unused));                \
		function(crau_e_, sizeof crau_e_ / sizeof *crau_e_);                                        \
	} while (0)

#ifdef CRAU_DISABLE

#define CRAU_UNUSED4_(a, b, c, d)            \
	do {                                 \
		if (0) {                     \
			(void)(a), (void)(b); \
			(void)(c), (void)(d); \
		}                            \
	} while (0)
#define CRAU_PROBE2_(name, a, b) CRAU_UNUSED4_(a, b, 0, 0)
#define CRAU_PROBE3_(name, a, b, c) CRAU_UNUSED4_(a, b, c, 0)
#define CRAU_PROBE4_(name, a, b, c, d) CRAU_UNUSED4_(a, b, c, d)

#undef crau_push
#undef crau_data
#define crau_push(...)                                            \
	do {                                                      \
		if (0)                                            \
			CRAU_ELEMENTS_(crau_unused_, __VA_ARGS__); \
	} while (0)
#define crau_data(...) crau_push(__VA_ARGS__)
static inline void crau_unused_(const struct crau_data *e, unsigned long n) { (void)e, (void)n; }
static inline void crau_pop(void) {}
static inline unsigned long crau_current(void) { return CRAU_NO_PARENT; }

#else

/*
 * The probe site. Operands are registers and numbers, never memory or symbols. So tracers need no symbol table, and the
 * site may move the stack pointer (the constraint "l" means every general register of x86-64 but the stack pointer).
 *
 * On x86-64 a site is a sequence of nops, and a tracer attaches to one of them. The note gives the address of the
 * first, a 1-byte nop, which every kernel emulates and every tracer supports. At the other nops a hit takes half the
 * time on kernels that replace an attached nop by a call: the newest kernels do so with 10-byte nops, Linux 6.18 and
 * some later ones with 5-byte nops. The call at a 5-byte nop pushes its return address onto the stack, where a leaf
 * function may keep variables below the stack pointer (the red zone). The two lea move the stack pointer below the red
 * zone and back. Tracers that look for a 1-byte nop followed by a 10-byte nop, which libbpf's <usdt.h> emits, find that
 * sequence here.
 */
#if defined __aarch64__
#define CRAU_SITE_ "990:\tnop\n"
#define CRAU_ARG_(x) "nr"((unsigned long)(x))
#elif defined CRAU_NOP1
#define CRAU_SITE_ "990:\tnop\n"
#define CRAU_ARG_(x) "nl"((unsigned long)(x))
#else
#define CRAU_SITE_                                                  \
	"990:\tnop\n"                                               \
	"\t.byte 0x66, 0x2e, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0\n"     \
	"\tlea -128(%%rsp), %%rsp\n"                                \
	"\t.byte 0x0f, 0x1f, 0x44, 0, 0\n"                          \
	"\tlea 128(%%rsp), %%rsp\n"
#define CRAU_ARG_(x) "nl"((unsigned long)(x))
#endif

/*
 * The site with its note, which has the format of <sys/sdt.h>. The flag "?" puts the note into the section group of the
 * code, so that the linker discards it together with a redundant copy of an inline function or template. With the
 * address of .stapsdt.base, tracers can correct addresses that prelink has changed. The memory clobber makes the
 * compiler store strings and arrays before the probe reads them.
 */
#define CRAU_PROBE_(name, operands, ...)                                              \
	__asm__ __volatile__(CRAU_SITE_                                               \
			     "\t.pushsection .note.stapsdt,\"?\",\"note\"\n"          \
			     "\t.balign 4\n"                                          \
			     "\t.4byte 992f-991f, 994f-993f, 3\n"                     \
			     "991:\t.asciz \"stapsdt\"\n"                             \
			     "992:\t.balign 4\n"                                      \
			     "993:\t.8byte 990b, _.stapsdt.base, 0\n"                 \
			     "\t.asciz \"crypto_auditing\"\n"                         \
			     "\t.asciz \"" #name "\"\n"                               \
			     "\t.asciz \"" operands "\"\n"                            \
			     "994:\t.balign 4\n"                                      \
			     "\t.popsection\n"                                        \
			     "\t.ifndef _.stapsdt.base\n"                             \
			     "\t.pushsection .stapsdt.base,\"aG\",\"progbits\",.stapsdt.base,comdat\n" \
			     "\t.weak _.stapsdt.base\n"                               \
			     "\t.hidden _.stapsdt.base\n"                             \
			     "_.stapsdt.base:\t.space 1\n"                            \
			     "\t.size _.stapsdt.base, 1\n"                            \
			     "\t.popsection\n"                                        \
			     "\t.endif\n"                                             \
			     :                                                        \
			     : __VA_ARGS__                                            \
			     : "memory")
#define CRAU_PROBE2_(name, a, b) CRAU_PROBE_(name, "8@%0 8@%1", CRAU_ARG_(a), CRAU_ARG_(b))
#define CRAU_PROBE3_(name, a, b, c) CRAU_PROBE_(name, "8@%0 8@%1 8@%2", CRAU_ARG_(a), CRAU_ARG_(b), CRAU_ARG_(c))
#define CRAU_PROBE4_(name, a, b, c, d) \
	CRAU_PROBE_(name, "8@%0 8@%1 8@%2 8@%3", CRAU_ARG_(a), CRAU_ARG_(b), CRAU_ARG_(c), CRAU_ARG_(d))

/*
 * The stack's symbol is weak, so that all files of an executable or shared library share one stack. Its name contains
 * the stack's size, so that files with different sizes do not share a stack. The words of the stack are its depth, the
 * number of pushes so far, and the values of the open contexts.
 *
 * A context's value is the address of its slot, with the number of the push in the upper 16 bits. Two contexts that are
 * open at the same time differ in the address; two contexts in the same slot differ in the number, unless 65536 pushes
 * are between them. No address equals such a value, so other libraries do not use it for a context.
 */
#define CRAU_CONCAT_(a, b) a##b
#define CRAU_STACK_NAME_(depth) CRAU_CONCAT_(crau_stack_, depth)
#define CRAU_STACK_ CRAU_STACK_NAME_(CRAU_STACK_DEPTH)

__attribute__((weak, visibility("hidden"))) __thread unsigned long CRAU_STACK_[2 + CRAU_STACK_DEPTH];

static inline unsigned long crau_current(void)
{
	unsigned long depth = CRAU_STACK_[0];

	if (depth > CRAU_STACK_DEPTH)
		depth = CRAU_STACK_DEPTH;
	return depth ? CRAU_STACK_[1 + depth] : CRAU_NO_PARENT;
}

static inline void crau_push_(const struct crau_data *elements, unsigned long n)
{
	unsigned long parent = crau_current(), *slot;

	if (CRAU_STACK_[0]++ >= CRAU_STACK_DEPTH)
		return;
	slot = &CRAU_STACK_[1 + CRAU_STACK_[0]];
	*slot = (unsigned long)slot + (++CRAU_STACK_[1] << 48);
	CRAU_NEW_CONTEXT_WITH_DATA(*slot, parent, elements, n);
}

static inline void crau_data_(const struct crau_data *elements, unsigned long n)
{
	if (CRAU_STACK_[0] - 1 < CRAU_STACK_DEPTH)
		CRAU_DATA(crau_current(), elements, n);
}

static inline void crau_pop(void)
{
	if (CRAU_STACK_[0])
		CRAU_STACK_[0]--;
}

#endif
#endif
