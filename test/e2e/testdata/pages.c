/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pages FILE COUNT: opens COUNT contexts, whose names are in FILE, one every STRIDE bytes. The file was only just
 * mapped, so the pages with the names are not resident.
 */
#include <sys/mman.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include "crau.h"

#define STRIDE (128 << 10) /* more than the kernel maps on one page fault */

int main(int argc, char **argv)
{
	long count = argc == 3 ? atol(argv[2]) : 0;
	int fd = count ? open(argv[1], O_RDONLY) : -1;
	char *names = mmap(0, count * STRIDE, PROT_READ, MAP_PRIVATE, fd, 0);

	if (names == MAP_FAILED) {
		perror("mmap");
		return 1;
	}
	for (long i = 0; i < count; i++) {
		CRAU_NEW_CONTEXT(i + 1, CRAU_NO_PARENT);
		CRAU_STRING_DATA(i + 1, "name", names + i * STRIDE);
	}
	return 0;
}
