/* SPDX-License-Identifier: Apache-2.0 */

/*
 * steady FILE: reports a signature with a number, 1, 2, 3 ..., every 20 ms until SIGTERM. FILE has 8 bytes and always
 * contains the number of the last signature that was reported whole.
 */

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "crau.h"

static volatile sig_atomic_t stopped;

static void stop(int sig)
{
	(void)sig;
	stopped = 1;
}

int main(int argc, char **argv)
{
	int fd = argc == 2 ? open(argv[1], O_RDWR | O_CREAT | O_TRUNC, 0644) : -1;
	atomic_ulong *last;

	if (fd < 0 || ftruncate(fd, sizeof *last) != 0)
		return perror("steady"), 1;
	last = mmap(NULL, sizeof *last, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (last == MAP_FAILED)
		return perror("steady"), 1;
	signal(SIGTERM, stop);
	for (unsigned long n = 1; !stopped; n++) {
		crau_push(CRAU_NAME("app::step"), CRAU_WORD("app::number", n));
		crau_push(CRAU_NAME("pk::sign"), CRAU_STRING("pk::algorithm", "ML-DSA-65"));
		crau_data(CRAU_WORD("pk::bits", 1952 * 8));
		crau_pop();
		crau_data(CRAU_STRING("app::end", "yes"));
		crau_pop();
		*last = n;
		nanosleep(&(struct timespec){.tv_nsec = 20 * 1000 * 1000}, NULL);
	}
	return 0;
}
