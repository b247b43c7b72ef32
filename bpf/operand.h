/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Evaluates the arguments of a site: registers, constants and memory of the traced process. */
#ifndef CRAU_OPERAND_H
#define CRAU_OPERAND_H

/* Index of the instruction pointer in the saved registers. At a hit, this register has the address of the site. */
#if defined(__TARGET_ARCH_arm64)
#define IP 32
#else
#define IP 16
#endif

/*
 * Returns the n-th saved register. The verifier only accepts loads from the context at constant offsets. The compiler
 * turns the switch into a binary search, which costs less than a helper call.
 */
#define WORD(n)                                                                                   \
	case n:                                                                                   \
		asm volatile("%0 = *(u64 *)(%1 + %2)" : "=r"(v) : "r"(ctx), "i"((n) * 8));        \
		break;

static __always_inline __u64 saved_register(void *ctx, __u8 n)
{
	__u64 v = 0;

	switch (n) {
	WORD(0) WORD(1) WORD(2) WORD(3) WORD(4) WORD(5) WORD(6) WORD(7) WORD(8) WORD(9) WORD(10)
	WORD(11) WORD(12) WORD(13) WORD(14) WORD(15) WORD(16) WORD(17) WORD(18) WORD(19) WORD(20)
#if defined(__TARGET_ARCH_arm64)
	WORD(21) WORD(22) WORD(23) WORD(24) WORD(25) WORD(26) WORD(27) WORD(28) WORD(29) WORD(30)
	WORD(31) WORD(32) WORD(33)
#endif
	}
	return v;
}

/*
 * Reports whether a run may sleep in a page fault, and if so, marks the run as sleeping. The number of sleeping runs is
 * limited, so that they never take all runs of a CPU, and each owner has a share of them.
 */
static __noinline int sleep_in(__u32 index)
{
	__u32 zero = 0;
	struct cpu *cpu = bpf_map_lookup_elem(&cpus, &zero);

	if (!cpu || index >= CRAU_SLEEPING_RUNS)
		return 0;
	if (!cpu->runs[index].sleeps && !has_share(cpu, CRAU_SLEEPING_RUNS, 1, index, cpu->runs[index].owner))
		return 0;
	cpu->runs[index].sleeps = 1;
	return 1;
}

#define PAGE 4096UL

/*
 * The largest number of pages that one record may wait for: two for each of 4 arguments, the array, 16 keys and 16
 * values.
 */
#define MOST_WAITS (2 * (CRAU_MAX_ARGS + 1 + 2 * CRAU_MAX_PAIRS))

/*
 * Requests that the run waits for a page of the memory at from, which could not be read, by setting s->page. size is at
 * most a page. If the run has already waited for all pages of the memory, at most two, the memory is unreadable and
 * s->page remains 0.
 */
static __noinline int wait_for(struct slot *s, __u64 from, __u32 size)
{
	__u64 second = (from | (PAGE - 1)) + 1, want = from;

	if (s->waited == second)
		return 0;
	if (s->waited == from) {
		if (second >= from + size)
			return 0;
		want = second;
	}
	if (!can_sleep || s->waits >= MOST_WAITS || !sleep_in(s->run))
		return 0;
	s->waits++;
	s->page = want;
	return 0;
}

/*
 * Reads memory of the traced process. After an error, s->page is set if the run has to wait for a page and then try
 * again.
 */
static __always_inline long read_user(struct slot *s, void *to, __u32 size, __u64 from)
{
	long err = bpf_probe_read_user(to, size, (void *)from);

	if (err)
		wait_for(s, from, size);
	return err;
}

/* Truncates a value to size bytes and extends the result to 64 bits, with its sign if is_signed. */
static __always_inline __u64 resize(__u64 v, __u8 size, __u8 is_signed)
{
	__u8 unused_bits = (64 - size * 8) & 63;

	v <<= unused_bits;
	return is_signed ? (__u64)((__s64)v >> unused_bits) : v >> unused_bits;
}

/*
 * Evaluates the i-th argument from registers. Of an argument in memory, it evaluates the address; read_argument reads
 * the memory.
 */
static __noinline int evaluate(void *ctx, struct slot *s, const struct crau_operand *op, __u32 i)
{
	__u64 v = op->value + (saved_register(ctx, op->base) >> (op->shift & 63));

	i &= 7;
	if (op->kind == CRAU_MEMORY) {
		if (op->index != 0xff)
			v += saved_register(ctx, op->index) << (op->scale & 63);
		s->memory[i].size = op->size;
		s->memory[i].is_signed = op->is_signed;
		s->arg[i] = v;
		return 0;
	}
	s->arg[i] = resize(v, op->size, op->is_signed);
	return 0;
}

/* Evaluates the i-th argument without reading memory. The simple kinds do not need the slower evaluate. */
static __always_inline void take_argument(void *ctx, struct slot *s, const struct crau_operand *op, __u32 i)
{
	s->memory[i].size = 0;
	if (op->kind == CRAU_CONST)
		s->arg[i] = op->value;
	else if (op->kind == CRAU_WHOLE_REGISTER)
		s->arg[i] = saved_register(ctx, op->base);
	else
		evaluate(ctx, s, op, i);
}

/*
 * Reads the i-th argument if it is in memory. Returns an error if the memory cannot be read, with s->page as after
 * read_user.
 */
static __always_inline long read_argument(struct slot *s, __u32 i)
{
	__u32 size = s->memory[i].size;
	__u64 raw = 0;

	if (!size)
		return 0;
	barrier_var(size); /* for the verifier, the checked and the used size must be the same register */
	if (size > sizeof(raw) || read_user(s, &raw, size, s->arg[i]))
		return -1;
	s->arg[i] = resize(raw, size, s->memory[i].is_signed);
	s->memory[i].size = 0;
	return 0;
}

#endif
