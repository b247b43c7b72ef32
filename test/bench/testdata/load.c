/* SPDX-License-Identifier: Apache-2.0 */

/*
 * load: fires probes on command and prints the cost for the threads that fire.
 *
 * Each line on standard input is a command. Each line on standard output is its result, "HITS CPU_NS WALL_NS": the hits
 * and CPU time summed over the threads, and the wall time of the slowest thread.
 *
 *   burst KIND THREADS HITS           HITS hits per thread, at full speed
 *   pace KIND THREADS RATE SECONDS    RATE hits per second in total, in a batch every millisecond
 *
 * KIND is word, string, or array4: an array of two words and two strings. Each thread fires on a separate context,
 * which is opened and named at the start of a command; these two hits are part of the result.
 */

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "crau.h"

#define MAX_THREADS 64
#define NSEC 1000000000L

enum kind { WORD, STRING, ARRAY4 };

static struct {
	enum kind kind;
	unsigned int threads;
	unsigned long hits; /* hits per thread */
	double rate;        /* hits per thread and second; 0: full speed */
} order;

static struct result {
	unsigned long hits;
	long cpu, wall;
} results[MAX_THREADS];

/* The address of an element is a context. Each element has its own cache lines. */
static struct {
	char place[128];
} contexts[MAX_THREADS];

static atomic_uint arrived;

static long now(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec * NSEC + ts.tv_nsec;
}

/* Each of the following functions is one site. If the compiler inlined a function twice, there would be two sites. */
static __attribute__((noinline)) void words(unsigned long ctx, unsigned long n)
{
	for (unsigned long i = 0; i < n; i++)
		CRAU_WORD_DATA(ctx, "tls::protocol_version", 0x0304);
}

static __attribute__((noinline)) void strings(unsigned long ctx, unsigned long n)
{
	for (unsigned long i = 0; i < n; i++)
		CRAU_STRING_DATA(ctx, "pk::algorithm", "EC/ECDSA");
}

static __attribute__((noinline)) void arrays(unsigned long ctx, unsigned long n)
{
	const struct crau_data e[] = {
		CRAU_STRING("pk::algorithm", "EC/ECDSA"),
		CRAU_STRING("pk::curve", "SECP256R1"),
		CRAU_WORD("pk::bits", 256),
		CRAU_WORD("pk::static", 0),
	};

	for (unsigned long i = 0; i < n; i++)
		CRAU_DATA(ctx, e, 4);
}

static void fire(unsigned long ctx, unsigned long n)
{
	switch (order.kind) {
	case WORD:
		words(ctx, n);
		break;
	case STRING:
		strings(ctx, n);
		break;
	case ARRAY4:
		arrays(ctx, n);
		break;
	}
}

static void *work(void *arg)
{
	struct result *r = arg;
	unsigned long ctx = (unsigned long)&contexts[r - results], done = 0;
	long wall, cpu;

	arrived++;
	while (arrived < order.threads)
		;
	wall = now(CLOCK_MONOTONIC);
	cpu = now(CLOCK_THREAD_CPUTIME_ID);
	CRAU_NEW_CONTEXT(ctx, CRAU_NO_PARENT);
	CRAU_STRING_DATA(ctx, "name", "pk::sign");
	if (order.rate == 0) {
		fire(ctx, order.hits);
		done = order.hits;
	}
	while (done < order.hits) {
		double due = (double)(now(CLOCK_MONOTONIC) - wall) * order.rate / NSEC;
		unsigned long n = due > (double)order.hits ? order.hits - done : (unsigned long)due - done;

		fire(ctx, n);
		done += n;
		nanosleep(&(struct timespec){.tv_nsec = NSEC / 1000}, NULL);
	}
	r->cpu = now(CLOCK_THREAD_CPUTIME_ID) - cpu;
	r->wall = now(CLOCK_MONOTONIC) - wall;
	r->hits = done + 2;
	return NULL;
}

static bool obey(const char *line)
{
	static const char *const kinds[] = {"word", "string", "array4"};
	char verb[8], kind[8];
	double n, seconds = 0;
	pthread_t thread[MAX_THREADS];
	struct result sum = {0};
	int fields = sscanf(line, "%7s %7s %u %lf %lf", verb, kind, &order.threads, &n, &seconds);

	if (fields < 4 || order.threads < 1 || order.threads > MAX_THREADS)
		return false;
	for (order.kind = WORD; strcmp(kinds[order.kind], kind) != 0; order.kind++)
		if (order.kind == ARRAY4)
			return false;
	if (strcmp(verb, "burst") == 0) {
		order.rate = 0;
		order.hits = (unsigned long)n;
	} else if (strcmp(verb, "pace") == 0 && fields == 5) {
		order.rate = n / order.threads;
		order.hits = (unsigned long)(order.rate * seconds);
	} else {
		return false;
	}

	arrived = 0;
	for (unsigned int i = 1; i < order.threads; i++)
		if (pthread_create(&thread[i], NULL, work, &results[i]))
			return false;
	work(&results[0]);
	for (unsigned int i = 0; i < order.threads; i++) {
		if (i > 0)
			pthread_join(thread[i], NULL);
		sum.hits += results[i].hits;
		sum.cpu += results[i].cpu;
		if (results[i].wall > sum.wall)
			sum.wall = results[i].wall;
	}
	printf("%lu %ld %ld\n", sum.hits, sum.cpu, sum.wall);
	fflush(stdout);
	return true;
}

int main(void)
{
	char line[128];

	while (fgets(line, sizeof line, stdin))
		if (!obey(line)) {
			fprintf(stderr, "load: bad command: %s", line);
			return 2;
		}
	return 0;
}
