/* SPDX-License-Identifier: Apache-2.0 */

/*
 * attack MODE: fires probes as a hostile program would, without privileges, until it is killed.
 *
 * Each mode attacks one limit or one guarantee of crau-otel. A mode pauses between hits if full speed would do nothing
 * but take CPU time from the victim, which no tracer can prevent.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "crau.h"

static void nap(long us) { nanosleep(&(struct timespec){.tv_nsec = us * 1000}, NULL); }

/* Opens contexts that never end, 40,000 per second, to reach the limit of open contexts. */
static void contexts(void)
{
	for (unsigned long ctx = 1;; ctx++) {
		CRAU_NEW_CONTEXT(ctx, CRAU_NO_PARENT);
		if (ctx % 40 == 0)
			nap(1000);
	}
}

/* Fires trees with 16 pairs of 255 bytes that never repeat, to fill the exporter's queue. */
static void queue(void)
{
	static char key[16][8], value[16][256];
	struct crau_data pairs[16];

	for (int i = 0; i < 16; i++) {
		memset(value[i], 'a' + i, 255);
		snprintf(key[i], sizeof key[i], "a::k%d", i);
		pairs[i] = CRAU_STRING(key[i], value[i]);
	}
	pairs[0] = CRAU_NAME("pk::sign");
	for (unsigned long n = 0;; n++) {
		snprintf(value[1], sizeof value[1], "%lu", n);
		CRAU_NEW_CONTEXT_WITH_DATA(5, CRAU_NO_PARENT, pairs, 16);
		if (n % 20 == 0)
			nap(1000);
	}
}

/* Forks a child for every 250 hits, to evade the limit on hits per process. */
static void forks(void)
{
	for (;;) {
		pid_t pid = fork();

		if (pid == 0) {
			for (int i = 0; i < 250; i++)
				CRAU_NEW_CONTEXT(5, CRAU_NO_PARENT);
			_exit(0);
		}
		if (pid > 0)
			waitpid(pid, NULL, 0);
	}
}

/* Lets 300 processes fire in turn, to fill the table of processes. */
static void processes(void)
{
	for (int i = 1; i < 300; i++)
		if (fork() == 0)
			break;
	for (;;) {
		CRAU_NEW_CONTEXT(5, CRAU_NO_PARENT);
		CRAU_STRING_DATA(5, "name", "pk::sign");
		nap(200 * 1000);
	}
}

/* Invents algorithms and names, to fill the caches of texts and shapes and to create many series of metrics. */
static void names(void)
{
	char algorithm[32], name[32], key[32];

	for (unsigned long n = 0;; n++) {
		snprintf(algorithm, sizeof algorithm, "ALG-%lu", n);
		snprintf(name, sizeof name, "app::name%lu", n);
		snprintf(key, sizeof key, "app::key%lu", n);
		CRAU_NEW_CONTEXT(5, CRAU_NO_PARENT);
		CRAU_STRING_DATA(5, "name", "pk::sign");
		CRAU_STRING_DATA(5, "pk::algorithm", algorithm);
		CRAU_NEW_CONTEXT(6, CRAU_NO_PARENT);
		CRAU_STRING_DATA(6, "name", name);
		CRAU_STRING_DATA(6, key, algorithm);
		if (n % 10 == 0)
			nap(1000);
	}
}

/* Reports keys that equal attribute keys of crau-otel, keys that are equal after mapping, and invalid text. */
static void keys(void)
{
	static const char *const forged[] = {
		"crypto::library.trusted", "crypto::library.all_trusted", "crypto::pqc.status", "crypto::incomplete",
		"service.name",		   "service::name",		  "tls::group.name",	"pk.x",
		"pk::x",		   "caf\xe9::x",		  "\x1b[31m::x",	"",
	};

	for (unsigned long n = 0;; n++) {
		CRAU_NEW_CONTEXT(5, CRAU_NO_PARENT);
		CRAU_STRING_DATA(5, "name", n % 2 ? "tls::handshake" : "na\xefve\xff");
		for (size_t i = 0; i < sizeof forged / sizeof *forged; i++)
			CRAU_STRING_DATA(5, forged[i], "true \xe9");
		nap(5000);
	}
}

/* Reports nonsense: parents that form cycles, and arrays and strings that cannot be read. */
static void nonsense(void)
{
	for (unsigned long n = 0;; n++) {
		CRAU_NEW_CONTEXT(7, 8);
		CRAU_NEW_CONTEXT(8, 7);
		CRAU_NEW_CONTEXT(7, 7);
		CRAU_DATA(7, (const struct crau_data *)(n * 4096), n);
		CRAU_STRING_DATA(8, (const char *)-1L, (const char *)(n << 12));
		CRAU_BLOB_DATA(8, "x", (void *)(n << 12), ~0UL);
		nap(1000);
	}
}

/* Fires as fast as possible, to fill the ring buffer. */
static void flood(void)
{
	CRAU_NEW_CONTEXT(5, CRAU_NO_PARENT);
	for (;;)
		CRAU_WORD_DATA(5, "tls::protocol_version", 0x0304);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} modes[] = {
		{"contexts", contexts}, {"queue", queue}, {"forks", forks},	  {"processes", processes},
		{"names", names},	{"keys", keys},	  {"nonsense", nonsense}, {"flood", flood},
	};

	nap(300 * 1000); /* until the probes are attached */
	for (size_t i = 0; argc == 2 && i < sizeof modes / sizeof *modes; i++)
		if (strcmp(argv[1], modes[i].name) == 0)
			modes[i].run();
	fprintf(stderr, "usage: attack MODE\n");
	return 2;
}
