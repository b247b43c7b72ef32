/* SPDX-License-Identifier: Apache-2.0 */

/*
 * deceive MODE ...: lies about cryptography that never took place, without privileges, until it is killed.
 *
 *   handshake
 *              fires its own probes, which report a post-quantum handshake
 *   jump LIBRARY NEW STRING WORD
 *              reports the same handshake with the probes of LIBRARY, compiled from library.c, which it maps and jumps
 *              into; NEW, STRING and WORD are the file offsets of the library's functions
 *   strings OFFSETS FILL... - FILE...
 *              maps the files FILL, whose strings use up the agent's memory for strings. Then it maps each FILE and
 *              overwrites its probe sites while the agent attaches it. OFFSETS are the file offsets of the sites,
 *              such as 1,2,3
 */

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "crau.h"

typedef void new_context(unsigned long ctx, unsigned long parent);
typedef void string_data(unsigned long ctx, const char *key, const char *value);
typedef void word_data(unsigned long ctx, const char *key, unsigned long value);

static void nap(long us) { nanosleep(&(struct timespec){us / 1000000, us % 1000000 * 1000}, NULL); }

static void own_new(unsigned long ctx, unsigned long parent) { CRAU_NEW_CONTEXT(ctx, parent); }
static void own_string(unsigned long ctx, const char *key, const char *value) { CRAU_STRING_DATA(ctx, key, value); }
static void own_word(unsigned long ctx, const char *key, unsigned long value) { CRAU_WORD_DATA(ctx, key, value); }

static void lie(new_context *context, string_data *string, word_data *word)
{
	for (;; nap(20000)) {
		context(5, CRAU_NO_PARENT);
		string(5, "name", "tls::handshake_server");
		word(5, "tls::protocol_version", 0x304);
		word(5, "tls::ciphersuite", 0x1302);
		context(6, 5);
		string(6, "name", "tls::key_exchange");
		word(6, "tls::group", 0x11ec);
		context(7, 6);
		string(7, "name", "pk::decapsulate");
		string(7, "pk::algorithm", "ML-KEM-768");
	}
}

static char *map(const char *path)
{
	struct stat st;
	char *at;
	int fd = open(path, O_RDONLY);

	if (fd < 0 || fstat(fd, &st) != 0)
		return NULL;
	at = mmap(NULL, st.st_size, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
	close(fd);
	return at == MAP_FAILED ? NULL : at;
}

static int strings(char *offsets, char **files)
{
	int watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC), seed = 0;

	for (; *files && strcmp(*files, "-") != 0; files++)
		if (!map(*files))
			return perror(*files), 1;
	nap(1500 * 1000); /* until the files are attached */
	for (; *files; files++) {
		char event[4096];
		char *next = offsets;
		int fd;

		if (strcmp(*files, "-") == 0)
			continue;
		inotify_add_watch(watch, *files, IN_ACCESS);
		if (!map(*files))
			return perror(*files), 1;
		for (int i = 0; i < 20000 && read(watch, event, sizeof event) < 0; i++)
			nap(100);
		nap(seed++ % 8 * 300);
		fd = open(*files, O_WRONLY); /* if the file is already attached, open waits until it is detached */
		for (;; next++) {
			if (pwrite(fd, "\xcc", 1, strtol(next, &next, 10)) != 1)
				return perror(*files), 1;
			if (*next != ',')
				break;
		}
		close(fd);
	}
	printf("done\n");
	fflush(stdout);
	pause();
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "handshake") == 0) {
		nap(300 * 1000); /* until the probes are attached */
		lie(own_new, own_string, own_word);
	}
	if (argc == 6 && strcmp(argv[1], "jump") == 0) {
		char *at = map(argv[2]);

		if (!at)
			return perror(argv[2]), 1;
		nap(300 * 1000);
		lie((new_context *)(at + atol(argv[3])), (string_data *)(at + atol(argv[4])), (word_data *)(at + atol(argv[5])));
	}
	if (argc > 4 && strcmp(argv[1], "strings") == 0)
		return strings(argv[2], argv + 3);
	fprintf(stderr, "usage: deceive MODE ...\n");
	return 2;
}
