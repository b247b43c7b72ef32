/* SPDX-License-Identifier: Apache-2.0 */

/* mapfiles NAME FILE...: maps files as the dynamic loader does, prints their number, and waits. */

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	int mapped = 0;

	for (int i = 2; i < argc; i++) {
		int fd = open(argv[i], O_RDONLY);

		if (fd >= 0 && mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0) != MAP_FAILED)
			mapped++;
		close(fd);
	}
	printf("mapped %d\n", mapped);
	fflush(stdout);
	for (;;)
		pause();
}
