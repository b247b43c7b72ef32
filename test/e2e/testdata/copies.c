/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copies its code to anonymous memory and runs the copy, as programs do to use large pages. With an argument, it then
 * waits for a line of input; without, it fires its probe immediately.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "crau.h"

/* Replaces the pages of the code by a copy, in which the program continues to run. */
static int copy_text(void)
{
	char line[512];
	unsigned long start = 0, end = 0;
	FILE *maps = fopen("/proc/self/maps", "r");

	while (maps && fgets(line, sizeof(line), maps)) {
		char mode[5];

		if (sscanf(line, "%lx-%lx %4s", &start, &end, mode) == 3 && mode[2] == 'x' && start <= (unsigned long)&copy_text &&
		    (unsigned long)&copy_text < end)
			break;
	}
	if (!maps)
		return -1;
	fclose(maps);

	void *copy = mmap(NULL, end - start, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (copy == MAP_FAILED)
		return -1;
	memcpy(copy, (void *)start, end - start);
	if (mprotect(copy, end - start, PROT_READ | PROT_EXEC))
		return -1;
	return mremap(copy, end - start, end - start, MREMAP_MAYMOVE | MREMAP_FIXED, (void *)start) == MAP_FAILED ? -1 : 0;
}

int main(int argc, char **argv)
{
	(void)argv;
	if (copy_text()) {
		perror("copy code");
		return 1;
	}
	puts("ready");
	fflush(stdout);
	if (argc > 1)
		getchar();
	crau_push(CRAU_NAME("pk::sign"), CRAU_STRING("pk::algorithm", "ED25519"));
	crau_pop();
	return 0;
}
