/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Evaluates the arguments of a site: registers, constants and memory of the traced process. */
#ifndef CRAU_OPERAND_H
#define CRAU_OPERAND_H

/* Index of the instruction pointer in the saved registers. At a site it is the address of the site. */
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
 * Reports whether a run may sleep in a page fault, and notes that it does. Not all may, so that sleepers never take all
 * runs of a CPU, and of those that may, one is left to other owners.
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

static __always_inline int may_sleep(const struct slot *s) { return can_sleep && sleep_in(s->run); }

/* Reads memory of the traced process. If a page is not resident, it sleeps, provided that the run may. */
static __always_inline long read_user(const struct slot *s, void *to, __u32 size, __u64 from)
{
	long err = bpf_probe_read_user(to, size, (void *)from);

	if (err && may_sleep(s))
		err = bpf_copy_from_user(to, size, (void *)from);
	return err;
}

/* Evaluates an argument into the slot. Returns an error if it cannot be read. */
static __noinline long evaluate(void *ctx, struct slot *s, const struct crau_operand *op)
{
	__u64 v = op->value + (saved_register(ctx, op->base) >> (op->shift & 63)), raw = 0;
	__u8 unused_bits;

	if (op->kind == CRAU_MEMORY) {
		__u32 size = op->size;

		if (op->index != 0xff)
			v += saved_register(ctx, op->index) << (op->scale & 63);
		barrier_var(size); /* the checked and the used size must be the same register */
		if (size > sizeof(raw) || read_user(s, &raw, size, v))
			return -1;
		v = raw;
	}
	unused_bits = (64 - op->size * 8) & 63;
	v <<= unused_bits;
	s->value = op->is_signed ? (__u64)((__s64)v >> unused_bits) : v >> unused_bits;
	return 0;
}

/* Evaluates an argument. */
static __always_inline long read_argument(void *ctx, struct slot *s, const struct crau_operand *op, __u64 *to)
{
	if (op->kind == CRAU_CONST) {
		*to = op->value;
		return 0;
	}
	if (op->kind == CRAU_WHOLE_REGISTER) {
		*to = saved_register(ctx, op->base);
		return 0;
	}
	if (evaluate(ctx, s, op))
		return -1;
	*to = s->value;
	return 0;
}

#endif
