/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waits for the seconds in its second argument, loads the library in its first argument, and makes the library fire its
 * probes.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	void *library;
	void (*speak)(void);

	if (argc != 3)
		return 2;
	sleep(atoi(argv[2]));
	library = dlopen(argv[1], RTLD_NOW);
	*(void **)&speak = library ? dlsym(library, "speak") : NULL;
	if (!speak) {
		fprintf(stderr, "%s\n", dlerror());
		return 1;
	}
	for (int i = 0; i < 3000; i++) {
		speak();
		usleep(10 * 1000);
	}
	return 0;
}
