/* SPDX-License-Identifier: Apache-2.0 */
/* reloads N LIBRARY...: loads each library in turn, makes it fire its probes and unloads it, N times. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

int main(int argc, char **argv)
{
	int times = argc > 2 ? atoi(argv[1]) : 0;

	for (int i = 0; i < times; i++) {
		void *library = dlopen(argv[2 + i % (argc - 2)], RTLD_NOW);
		void (*speak)(void) = library ? (void (*)(void))dlsym(library, "speak") : NULL;

		if (!speak)
			return fprintf(stderr, "reloads: %s\n", dlerror()), 1;
		for (int n = 0; n < 5; n++) {
			speak();
			nanosleep(&(struct timespec){.tv_nsec = 10 * 1000 * 1000}, NULL);
		}
		dlclose(library);
	}
	return 0;
}
