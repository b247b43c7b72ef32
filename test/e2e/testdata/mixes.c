/* SPDX-License-Identifier: Apache-2.0 */
/* Calls a function of the library overwritten.c and prints its result. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

unsigned long mix(unsigned long n);

int main(int argc, char **argv)
{
	int times = argc > 1 ? atoi(argv[1]) : 1;

	for (int i = 0; i < times; i++) {
		if (i)
			usleep(10000);
		printf("%lx\n", mix(10));
	}
	return 0;
}
