/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A program with crypto_auditing probes. It fires the probes of TLS handshakes at a given rate, but implements no TLS.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "sample.h"

#define NSEC 1000000000L
#define MAX_WORKERS 1024

_Thread_local unsigned long fired[PROBES];
volatile atomic_bool stopped;

static struct options options = {.client = true, .server = true, .group = 4588};
static double rate = 1;
static unsigned int threads = 1, forks;
static struct timespec start;

/* State that is shared by all workers: threads of this process and of forked processes. */
static struct shared {
	atomic_ulong next; /* number of the next handshake */
	atomic_ulong fired[PROBES];
} *shared;

static const char usage[] =
	"Usage: sample [option]...\n"
	"Plays TLS handshakes for the crypto_auditing probes, then prints how many of each probe it fired.\n"
	"\n"
	"  --rate N       handshakes a second, 0: as fast as possible (1)\n"
	"  --count N      handshakes in all, 0: until SIGINT (0); or what a mode counts\n"
	"  --role R       client, server or both (both): the trees of a handshake\n"
	"  --style S      explicit, self or link (explicit): how parents are reported\n"
	"  --version V    1.2 or 1.3 (1.3)\n"
	"  --group N      negotiated group (4588, X25519MLKEM768; 23 with TLS 1.2, which takes no hybrid ones)\n"
	"  --offer N,...  groups that a TLS 1.3 client offers, at most 8 (the negotiated one and 23)\n"
	"  --old-names    tls::handshake_client and the like, as GnuTLS has them\n"
	"  --threads N    threads, in each process (1)\n"
	"  --forks N      processes that do the work, 0: this one (0)\n"
	"  --wait         print \"ready\" and wait for a line on standard input before the first probe\n"
	"  --stay         after the last probe, stay until standard input ends\n"
	"  --mode M       instead of handshakes, once:\n"
	"                   array16  arrays of 16 elements\n"
	"                   long     long strings and keys\n"
	"                   bytes    strings that are not UTF-8, blobs\n"
	"                   cold     strings on pages that no page table has; --count: strings (16)\n"
	"                   bad      bad pointers and sizes\n"
	"                   flood    words on one context; --count: words (1000)\n"
	"                   deep     a chain of contexts; --depth: contexts (64)\n"
	"                   wide     children of one context; --count: children (64)\n"
	"                   hostile  contexts without end, long strings that never repeat; --count: contexts (1000)\n"
	"                   stalled  a string that is delivered late; --count: seconds (5)\n"
	"  --depth N      see mode deep\n"
	"  --help         this text\n";

static void stop(int sig)
{
	(void)sig;
	stopped = true;
}

static void collect(void)
{
	for (unsigned int i = 0; i < PROBES; i++)
		shared->fired[i] += fired[i];
}

/* Sleeps until it is time for the nth handshake. It sleeps in short steps, because a signal wakes only one thread. */
static void pace(unsigned long n)
{
	if (rate == 0)
		return;
	while (!stopped) {
		struct timespec now, nap = {.tv_nsec = NSEC / 20};
		double left;

		clock_gettime(CLOCK_MONOTONIC, &now);
		left = (double)n / rate - (double)(now.tv_sec - start.tv_sec) - (double)(now.tv_nsec - start.tv_nsec) / NSEC;
		if (left <= 0)
			return;
		if (left * NSEC < (double)nap.tv_nsec)
			nap.tv_nsec = (long)(left * NSEC);
		nanosleep(&nap, NULL);
	}
}

static void *work(void *arg)
{
	(void)arg;
	for (;;) {
		unsigned long n = shared->next++;

		if (options.count && n >= options.count)
			break;
		pace(n);
		if (stopped)
			break;
		handshake(&options);
	}
	collect();
	return NULL;
}

/* Fires the handshakes on all threads of this process. */
static int work_threads(void)
{
	pthread_t thread[MAX_WORKERS];
	unsigned int n;
	int err = 0;

	for (n = 0; n < threads - 1; n++) {
		err = pthread_create(&thread[n], NULL, work, NULL);
		if (err) {
			fprintf(stderr, "sample: pthread_create: %s\n", strerror(err));
			stopped = true;
			break;
		}
	}
	work(NULL);
	while (n > 0)
		pthread_join(thread[--n], NULL);
	return err ? 1 : 0;
}

/* Fires the handshakes in forked processes, and forwards signals to them. */
static int work_forks(void)
{
	pid_t pid[MAX_WORKERS];
	unsigned int n;
	int code = 0, status;
	bool told = false;

	for (n = 0; n < forks; n++) {
		pid[n] = fork();
		if (pid[n] == 0)
			_exit(work_threads());
		if (pid[n] < 0) {
			perror("sample: fork");
			code = 1;
			stopped = true;
			break;
		}
	}
	for (unsigned int i = 0; i < n;) {
		if (stopped && !told) {
			told = true;
			for (unsigned int k = i; k < n; k++)
				kill(pid[k], SIGTERM);
		}
		/* Polls, because a signal that arrives just before a blocking wait would not interrupt it. */
		pid_t got = waitpid(pid[i], &status, WNOHANG);

		if (got == 0) {
			nanosleep(&(struct timespec){.tv_nsec = NSEC / 100}, NULL);
			continue;
		}
		if (got < 0 || !WIFEXITED(status) || WEXITSTATUS(status))
			code = 1;
		i++;
	}
	return code;
}

static void fail(const char *option, const char *value)
{
	fprintf(stderr, "sample: bad value for --%s: %s\n", option, value);
	exit(2);
}

/* Parses a number from min to max. It must be followed by the character end. */
static unsigned long number(const char *option, const char *s, unsigned long min, unsigned long max, char **end)
{
	unsigned long n;

	errno = 0;
	n = strtoul(s, end, 0);
	if (*end == s || errno || *s == '-' || n < min || n > max)
		fail(option, s);
	return n;
}

static unsigned long whole(const char *option, const char *s, unsigned long min, unsigned long max)
{
	char *end;
	unsigned long n = number(option, s, min, max, &end);

	if (*end)
		fail(option, s);
	return n;
}

static void offers(const char *s)
{
	char *end;

	for (options.n_offers = 0;; s = end + 1) {
		if (options.n_offers == MAX_OFFERS)
			fail("offer", s);
		options.offers[options.n_offers++] = (unsigned int)number("offer", s, 0, 0xffff, &end);
		if (!*end)
			return;
		if (*end != ',')
			fail("offer", s);
	}
}

/* Returns the index of value in choices. */
static unsigned int choice(const char *option, const char *value, const char *const *choices)
{
	for (unsigned int i = 0; choices[i]; i++)
		if (strcmp(value, choices[i]) == 0)
			return i;
	fail(option, value);
	return 0;
}

int main(int argc, char **argv)
{
	enum { RATE, COUNT_, ROLE, STYLE, VERSION, GROUP, OFFER, OLD_NAMES, THREADS, FORKS, WAIT, STAY, MODE,
	       DEPTH, HELP };
	static const struct option longs[] = {
		{"rate", 1, NULL, RATE},	   {"count", 1, NULL, COUNT_},	   {"role", 1, NULL, ROLE},
		{"style", 1, NULL, STYLE},	   {"version", 1, NULL, VERSION},  {"group", 1, NULL, GROUP},
		{"offer", 1, NULL, OFFER},	   {"old-names", 0, NULL, OLD_NAMES}, {"threads", 1, NULL, THREADS},
		{"forks", 1, NULL, FORKS},	   {"wait", 0, NULL, WAIT},	   {"stay", 0, NULL, STAY},
		{"mode", 1, NULL, MODE},	   {"depth", 1, NULL, DEPTH},	   {"help", 0, NULL, HELP},
		{NULL, 0, NULL, 0},
	};
	const struct mode *mode = NULL;
	bool wait = false, stay = false, group_given = false;
	int c, index = 0, code;
	unsigned int role;
	char *end;

	while ((c = getopt_long(argc, argv, "", longs, &index)) != -1) {
		switch (c) {
		case RATE:
			rate = strtod(optarg, &end);
			if (end == optarg || *end || !(rate >= 0 && rate <= 1e9))
				fail("rate", optarg);
			break;
		case COUNT_:
			options.count = whole("count", optarg, 0, ~0UL);
			break;
		case ROLE:
			role = choice("role", optarg, (const char *const[]){"client", "server", "both", NULL});
			options.client = role != 1;
			options.server = role != 0;
			break;
		case STYLE:
			options.style = choice("style", optarg, (const char *const[]){"explicit", "self", "link", NULL});
			break;
		case VERSION:
			options.tls12 = choice("version", optarg, (const char *const[]){"1.3", "1.2", NULL});
			break;
		case GROUP:
			options.group = (unsigned int)whole("group", optarg, 0, 0xffff);
			group_given = true;
			break;
		case OFFER:
			offers(optarg);
			break;
		case OLD_NAMES:
			options.old_names = true;
			break;
		case THREADS:
			threads = (unsigned int)whole("threads", optarg, 1, MAX_WORKERS);
			break;
		case FORKS:
			forks = (unsigned int)whole("forks", optarg, 0, MAX_WORKERS);
			break;
		case WAIT:
			wait = true;
			break;
		case STAY:
			stay = true;
			break;
		case MODE:
			for (mode = modes; mode->name && strcmp(mode->name, optarg) != 0;)
				mode++;
			if (!mode->name)
				fail("mode", optarg);
			break;
		case DEPTH:
			options.depth = whole("depth", optarg, 0, ~0UL);
			break;
		case HELP:
			fputs(usage, stdout);
			return 0;
		default:
			fputs("Try: sample --help\n", stderr);
			return 2;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "sample: unexpected argument: %s\n", argv[optind]);
		return 2;
	}
	if (options.tls12 && !group_given)
		options.group = 23;
	if (options.tls12 && !group_is_known_classical(options.group)) {
		fputs("sample: --version 1.2 needs a classical --group\n", stderr);
		return 2;
	}
	if (!options.n_offers) {
		options.offers[options.n_offers++] = options.group;
		if (options.group != 23)
			options.offers[options.n_offers++] = 23;
	}

	shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED) {
		perror("sample: mmap");
		return 1;
	}
	sigaction(SIGINT, &(struct sigaction){.sa_handler = stop}, NULL);
	sigaction(SIGTERM, &(struct sigaction){.sa_handler = stop}, NULL);
	if (wait) {
		char byte;

		puts("ready");
		fflush(stdout);
		while (!stopped && read(STDIN_FILENO, &byte, 1) == 1 && byte != '\n')
			;
	}

	clock_gettime(CLOCK_MONOTONIC, &start);
	if (stopped) {
		code = 0;
	} else if (mode) {
		code = mode->run(&options);
		collect();
	} else {
		code = forks ? work_forks() : work_threads();
	}
	printf("fired new_context=%lu word_data=%lu string_data=%lu blob_data=%lu data=%lu new_context_with_data=%lu\n",
	       shared->fired[NEW_CONTEXT], shared->fired[WORD_DATA], shared->fired[STRING_DATA], shared->fired[BLOB_DATA],
	       shared->fired[DATA], shared->fired[NEW_CONTEXT_WITH_DATA]);
	if (stay) {
		char byte;

		fflush(stdout);
		while (!stopped && read(STDIN_FILENO, &byte, 1) == 1)
			;
	}
	return code;
}
